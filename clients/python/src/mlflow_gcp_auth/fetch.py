# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Get an identity token with the credentials of the environment."""

from __future__ import annotations

from typing import Any

import google.auth
import requests
from google.auth import compute_engine, external_account, impersonated_credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport import Request
from google.auth.transport.requests import Request as Transport
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from mlflow_gcp_auth.errors import AuthenticationError, words
from mlflow_gcp_auth.identity_token import IdentityToken
from mlflow_gcp_auth.person import person, sign_in
from mlflow_gcp_auth.service_accounts import federated, impersonated, impersonated_by_file, key_file, metadata_server
from mlflow_gcp_auth.settings import CREDENTIALS_FILE, IMPERSONATE, Settings
from mlflow_gcp_auth.source import Source

# google-auth does not check the structure of an answer. An answer that is not Google's can cause the last three.
_FAILURES = (GoogleAuthError, requests.RequestException, OSError, ValueError, LookupError, TypeError)


def fetch(settings: Settings, audience: str) -> IdentityToken:
    """Request a token from Google. Each call reads the credentials again and opens its own connections.

    A token is requested about once an hour, so the cost is low. A renewed sign-in is found, and forked processes share
    no connection.

    :raises AuthenticationError: Google issued no token. The message contains Google's words and the remedy.
    """
    with requests.Session() as session:
        request = Transport(session)
        source = _source(_credentials(settings, request), settings, audience, request)
        try:
            return IdentityToken.parse(source.get())
        except AuthenticationError as error:
            reason = str(error)
        except _FAILURES as error:
            reason = f"Cause: {words(error)}"
    # Outside of `except`, so that no traceback shows the original exception: it may contain credentials.
    raise AuthenticationError(f"Cannot get an identity token of {source.name} for {audience}. {reason} {source.remedy}")


def _credentials(settings: Settings, request: Request) -> Any:
    """Return the application default credentials."""
    try:
        # Without scopes: with scopes, google-auth would look up the project of federated credentials on the network.
        return google.auth.default(request=request)[0]
    except _FAILURES as error:
        reason = words(error)
    raise AuthenticationError(
        f"No credentials for Google Cloud ({CREDENTIALS_FILE} is {settings.credentials_file or 'not set'}): {reason} On"
        f" Google Cloud, attach a service account. Elsewhere, set {CREDENTIALS_FILE} to a credentials file, or sign in:"
        f" {sign_in(settings)}"
    )


def _source(credentials: Any, settings: Settings, audience: str, request: Request) -> Source:
    email = settings.service_account
    if isinstance(credentials, external_account.Credentials) and email in ("", credentials.service_account_email):
        return federated(credentials, audience, request)
    if email:
        return impersonated(credentials, email, audience, request)
    if isinstance(credentials, compute_engine.Credentials):
        return metadata_server(audience, request)
    if isinstance(credentials, service_account.Credentials):
        return key_file(credentials, audience, request)
    if isinstance(credentials, impersonated_credentials.Credentials):
        return impersonated_by_file(credentials, audience, request)
    if isinstance(credentials, user_credentials.Credentials):
        return person(credentials, settings, request)
    kind = f"{type(credentials).__module__}.{type(credentials).__name__}"
    raise AuthenticationError(
        f"Google issues no identity token for credentials of the type {kind}. Set {IMPERSONATE} to a service account."
    )
