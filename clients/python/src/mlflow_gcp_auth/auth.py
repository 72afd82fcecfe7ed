# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The identity token as authentication of requests."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from mlflow_gcp_auth.cache import TokenCache
from mlflow_gcp_auth.errors import AuthenticationError
from mlflow_gcp_auth.fetch import fetch
from mlflow_gcp_auth.settings import Settings

_TOKENS = TokenCache(fetch)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TOKENS.after_fork)

_PORTS = {"https": 443, "http": 80}


class IdentityTokenAuth(AuthBase):
    """Add an identity token to each request. Without settings, the environment variables are read at each request."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Set the header.

        By default, the audience is the origin of the request's URL, so that a server cannot use the token elsewhere.
        """
        settings = self._settings or Settings.from_environment()
        origin = _origin(request.url or "")
        token = _TOKENS.get(settings, settings.audience or origin)
        request.headers[settings.header] = f"Bearer {token.value}"
        return request


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL. Only loopback addresses may be used without TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise AuthenticationError(
            f"The identity token is not sent to {parts.scheme}://{host}, because the connection is not encrypted. Set"
            " MLFLOW_TRACKING_URI to the https URL of the server."
        )
    name = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{name}{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
