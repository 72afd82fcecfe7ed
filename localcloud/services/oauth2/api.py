# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of OAuth, and functions that its files share."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from localcloud.access.grants import OAuthError
from localcloud.access.users import EMAIL_SCOPE, PROFILE_SCOPE
from localcloud.framework.service import Call, Json, Service

api = Service(
    "oauth2",
    ("v2",),
    hosts=("www.googleapis.com", "accounts.google.com", "openidconnect.googleapis.com"),
    rooted=True,
    always_on=True,
)
_SHORT_SCOPES = {"email": EMAIL_SCOPE, "profile": PROFILE_SCOPE}


def form(call: Call) -> dict[str, str]:
    """Return the fields of a form in the body. Raises OAuthError for a repeated field."""
    return single(parse_qsl(call.media.read().decode("utf-8", "replace")))


def single(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name; an empty one counts as missing. Raises OAuthError for a repeated parameter."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", f"OAuth 2 parameters can only have a single value: {name}")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def full_scopes(text: str) -> tuple[str, ...]:
    """Return the scopes of a parameter in Google's long form, each once."""
    return tuple(dict.fromkeys(_SHORT_SCOPES.get(scope, scope) for scope in text.split()))


def secret_answer(document: Json) -> Response:
    """Return an answer that no cache may store."""
    return JSONResponse(document, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def refusal(error: OAuthError) -> Response:
    """Return a refusal of an endpoint for programs."""
    return JSONResponse({"error": error.error, "error_description": error.description}, status_code=error.status)
