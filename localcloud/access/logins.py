# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Logins of users without a browser: the credential files that gcloud writes."""

from __future__ import annotations

from typing import Any

from localcloud.access.auth import CLOUD_PLATFORM
from localcloud.access.grants import Grant, Grants
from localcloud.access.oauth_clients import LOCAL_CLIENT, OAuthClients
from localcloud.access.users import EMAIL_SCOPE, Users
from localcloud.core.settings import Settings

Json = dict[str, Any]

_SCOPES = ("openid", EMAIL_SCOPE, CLOUD_PLATFORM)


class Logins:
    """Creates credential files of users."""

    def __init__(self, settings: Settings, users: Users, grants: Grants, clients: OAuthClients) -> None:
        self._token_url = f"{settings.url}/oauth2/token"
        self._users = users
        self._grants = grants
        self._clients = clients

    def log_in(self, email: str, quota_project: str | None = None, client_id: str | None = None) -> Json:
        """Log a user in; return the file for GOOGLE_APPLICATION_CREDENTIALS, with or without a quota project.

        Creates the user if there is none. Without a client, the type of the file names its token service. With the ID
        of a client, it is the file that `gcloud auth application-default login --client-id-file` writes; it works for
        clients that resolve oauth2.googleapis.com to the local cloud.
        """
        client = self._clients.get(client_id or LOCAL_CLIENT)
        if client is None:
            raise ValueError(f"there is no OAuth client {client_id}")
        user = self._users.ensure(email)
        token = self._grants.issue_refresh_token(Grant(client.id, user.email, _SCOPES))
        document = {"client_id": client.id, "client_secret": client.secret or "unknown", "refresh_token": token}
        if client_id:
            document |= {"type": "authorized_user", "universe_domain": "googleapis.com"}
        else:
            document |= {
                "type": "external_account_authorized_user",
                "audience": "//iam.googleapis.com/locations/global/workforcePools/local/providers/local",
                "token_url": self._token_url,
            }
        return document | ({"quota_project_id": quota_project} if quota_project else {})
