# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Credential files: the key file of the first project's owner, and the files that gcloud writes for users."""

from __future__ import annotations

import json
from typing import Any

from localcloud.access.accounts import ServiceAccounts
from localcloud.access.auth import Auth, Principal
from localcloud.access.permissions import Permissions, project_resource
from localcloud.core.settings import PROJECT, Settings, write_private

Json = dict[str, Any]

_OWNER = "owner"
OWNER_EMAIL = f"{_OWNER}@{PROJECT}.iam.gserviceaccount.com"


class Credentials:
    """Creates the credential files of a local cloud. The files name its token endpoint."""

    def __init__(self, settings: Settings, accounts: ServiceAccounts, permissions: Permissions, auth: Auth) -> None:
        self._settings = settings
        self._accounts = accounts
        self._permissions = permissions
        self._auth = auth
        self._token_url = f"{settings.url}/oauth2/token"

    def add_owner(self) -> None:
        """Create the owner of the first project, unless the account exists. Call it inside a transaction."""
        if self._accounts.get(OWNER_EMAIL) is None:
            self._accounts.create(PROJECT, _OWNER, {"displayName": "Owner of the local project"})
            binding = {"role": "roles/owner", "members": [f"serviceAccount:{OWNER_EMAIL}"]}
            self._permissions.set_policy(project_resource(PROJECT), {"bindings": [binding]})

    def write_owner_key(self) -> None:
        """Write the owner's key file, unless the existing file works."""
        if not self._key_file_works():
            key_file, _ = self._accounts.create_key(OWNER_EMAIL, self._token_url)
            write_private(self._settings.credentials, json.dumps(key_file, indent=2) + "\n")

    def of_user(self, email: str, quota_project: str | None = None) -> Json:
        """Log a user in; return the file for GOOGLE_APPLICATION_CREDENTIALS, with or without a quota project.

        The file's type names its token service. With `type` set to `authorized_user`, the document is the file that
        `gcloud auth application-default login` writes; it works for clients that resolve oauth2.googleapis.com to the
        local cloud.
        """
        if "@" not in email or Principal(email).is_user is False:
            raise ValueError("email is the address of a user, such as someone@example.com")
        document = {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/local/providers/local",
            "client_id": "local.apps.googleusercontent.com",
            "client_secret": "local",
            "refresh_token": self._auth.login(email.lower()),
            "token_url": self._token_url,
        }
        return document | ({"quota_project_id": quota_project} if quota_project else {})

    def _key_file_works(self) -> bool:
        try:
            document = json.loads(self._settings.credentials.read_text())
            key_id = document["private_key_id"]
        except (OSError, ValueError, LookupError, TypeError):
            return False
        wanted = document.get("token_uri") == self._token_url
        return wanted and self._auth.keys.public_key(OWNER_EMAIL, key_id) is not None
