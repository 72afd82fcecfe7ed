# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identity tokens of a person, who signs in with an OAuth desktop client of the company."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from google.auth.transport import Request

from mlflow_gcp_auth.errors import AuthenticationError
from mlflow_gcp_auth.settings import CLIENT_ID_FILE, IMPERSONATE, Settings
from mlflow_gcp_auth.source import Source

_GCLOUD_CLIENTS = (
    "32555940559.apps.googleusercontent.com",
    "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
)
"""The OAuth clients of gcloud auth login and gcloud auth application-default login."""


def sign_in(settings: Settings) -> str:
    """Return the command with which a person signs in."""
    file = shlex.quote(settings.client_id_file or "CLIENT.json")
    return f"gcloud auth application-default login --client-id-file={file}"


def person(credentials: Any, settings: Settings, request: Request) -> Source:
    """Return the person of `gcloud auth application-default login`. The audience is the client ID.

    :raises AuthenticationError: the person did not sign in with the company's client.
    """
    client = credentials.client_id
    remedy = f"Sign in again: {sign_in(settings)}"
    if client in _GCLOUD_CLIENTS:
        raise AuthenticationError(
            "You are signed in with the OAuth client of gcloud. Any other service that receives an identity token of"
            " this client can use the token in your name. Sign in with your company's client:"
            f" {sign_in(settings)}. Or set {IMPERSONATE}."
        )
    expected = _client_id(settings.client_id_file) if settings.client_id_file else client
    if client != expected:
        raise AuthenticationError(
            f"You are signed in with the OAuth client {client}, but {CLIENT_ID_FILE} names the client {expected}."
            f" {remedy}"
        )

    def get() -> str:
        credentials.refresh(request)
        if not credentials.id_token:
            raise AuthenticationError(f"The sign-in does not include the scopes openid and email. {remedy}")
        return str(credentials.id_token)

    return Source(f"your sign-in with the OAuth client {client}", remedy, get)


def _client_id(path: str) -> str:
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no JSON"
        raise AuthenticationError(
            f"Cannot read the client file {path} ({reason}). Set {CLIENT_ID_FILE} to the file that your administrator"
            " downloaded from the Google Cloud console."
        ) from None
    try:
        return str(content["installed"]["client_id"])
    except (KeyError, TypeError):
        raise AuthenticationError(
            f"The client file {path} has no client of the type desktop app. Set {CLIENT_ID_FILE} to the file of such a"
            " client."
        ) from None
