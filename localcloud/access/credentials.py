# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The key file of the first project's owner."""

from __future__ import annotations

import json

from localcloud.access.accounts import ServiceAccounts
from localcloud.access.auth import Auth
from localcloud.access.permissions import Permissions, project_resource
from localcloud.core.settings import PROJECT, Settings, write_private

_OWNER = "owner"
OWNER_EMAIL = f"{_OWNER}@{PROJECT}.iam.gserviceaccount.com"


class Credentials:
    """Creates the key file of the owner. The file names the token endpoint of the local cloud."""

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

    def _key_file_works(self) -> bool:
        try:
            document = json.loads(self._settings.credentials.read_text())
            key_id = document["private_key_id"]
        except (OSError, ValueError, LookupError, TypeError):
            return False
        wanted = document.get("token_uri") == self._token_url
        return wanted and self._auth.keys.public_key(OWNER_EMAIL, key_id) is not None
