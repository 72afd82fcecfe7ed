# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of this package: environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_gcp_auth.errors import AuthenticationError

AUDIENCE = "MLFLOW_GCP_AUTH_AUDIENCE"
IMPERSONATE = "MLFLOW_GCP_AUTH_IMPERSONATE_SERVICE_ACCOUNT"
HEADER = "MLFLOW_GCP_AUTH_HEADER"
CLIENT_ID_FILE = "MLFLOW_GCP_AUTH_CLIENT_ID_FILE"
CREDENTIALS_FILE = "GOOGLE_APPLICATION_CREDENTIALS"

# requests removes these two headers when a redirect leads to another host.
_HEADERS = {name.lower(): name for name in ("Authorization", "Proxy-Authorization")}
_SERVICE_ACCOUNT = re.compile(r"[\w.-]+@[\w.-]+\.gserviceaccount\.com")


@dataclass(frozen=True)
class Settings:
    """How to get identity tokens, and where to send them."""

    audience: str = ""
    """Audience of the tokens of service accounts. Default: the origin of the request's URL."""
    service_account: str = ""
    """Service account to impersonate with the credentials of the environment."""
    header: str = "Authorization"
    """Request header for the token."""
    client_id_file: str = ""
    """Client file of the OAuth desktop client with which people sign in."""
    credentials_file: str = ""
    """Credentials file that google-auth reads. It is here because a cached token belongs to it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment variables. An empty variable counts as unset."""
        return cls(
            audience=_audience(_value(environment, AUDIENCE)),
            service_account=_service_account(_value(environment, IMPERSONATE)),
            header=_header(_value(environment, HEADER)),
            client_id_file=_value(environment, CLIENT_ID_FILE),
            credentials_file=_value(environment, CREDENTIALS_FILE),
        )


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()


def _audience(value: str) -> str:
    if re.search(r"\s", value):
        raise AuthenticationError(
            f"{AUDIENCE} is {value!r}, but an audience contains no white space. Set the variable to an audience that"
            " the server accepts, such as https://mlflow.example.com or an OAuth client ID."
        )
    return value


def _service_account(value: str) -> str:
    if value and not _SERVICE_ACCOUNT.fullmatch(value):
        raise AuthenticationError(
            f"{IMPERSONATE} is {value!r}, which is not the e-mail address of a service account. Set the variable to an"
            " address such as trainer@my-project.iam.gserviceaccount.com, or unset it."
        )
    return value


def _header(value: str) -> str:
    try:
        return _HEADERS[value.lower() or "authorization"]
    except KeyError:
        raise AuthenticationError(
            f"{HEADER} is {value!r}. Set the variable to Authorization (default) or Proxy-Authorization (Identity-Aware"
            " Proxy)."
        ) from None
