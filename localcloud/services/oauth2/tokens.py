# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""OAuth 2: issues access tokens to service accounts and users; returns information about tokens and keys."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from localcloud.access.auth import CLOUD_PLATFORM, jwk
from localcloud.framework.service import Call, Json
from localcloud.services.oauth2.api import api

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@api.route("POST", r"/(token|o/oauth2/token|oauth2/v4/token|oauth2/token)", anonymous=True)
def token(call: Call) -> Response:
    """Exchange a service account's assertion for an access token, or for an ID token if it has `target_audience`.

    A user's refresh token is exchanged for an access token.
    """
    form = {k: v[0] for k, v in parse_qs(call.media.read().decode()).items()}
    if form.get("grant_type") == "refresh_token":
        user = call.cloud.auth.logged_in(form.get("refresh_token", ""))
        return _access(call, user, [CLOUD_PLATFORM]) if user else _refused("invalid_grant", "Bad Request")
    if form.get("grant_type") != _GRANT:
        return _refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    try:
        claims = call.cloud.auth.verify_assertion(form.get("assertion", ""))
    except ValueError as error:
        return _refused("invalid_grant", str(error))
    email = str(claims["iss"])
    if claims.get("target_audience"):
        return JSONResponse({"id_token": call.cloud.auth.issue_id_token(email, str(claims["target_audience"]))})
    scopes = str(claims.get("scope", "")).split()
    if not scopes:
        return _refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    return _access(call, email, scopes)


def _access(call: Call, email: str, scopes: list[str]) -> Response:
    issued = call.cloud.auth.issue_access_token(email, scopes)
    return JSONResponse({"access_token": issued.token, "expires_in": issued.expires_in, "token_type": "Bearer"})


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=400)


def _info(call: Call) -> tuple[Json, Json] | None:
    given: Any = dict(call.request.query_params)
    given |= {k: v[0] for k, v in parse_qs(call.media.read().decode()).items()}
    known = call.cloud.auth.describe(given.get("access_token") or given.get("accessToken") or "")
    if known is None:
        return None
    account = call.cloud.accounts.get(known["email"]) or {}
    return known, account


@api.route("GET POST", r"(/oauth2)?(/v[13])?/tokeninfo", anonymous=True)
def tokeninfo(call: Call) -> Response:
    """Return the account, scopes and expiry of an access token."""
    found = _info(call)
    if found is None:
        return _refused("invalid_token", "Invalid Value")
    known, account = found
    left = int(known["expires"] - call.cloud.clock.time())
    return JSONResponse(
        {
            "azp": account.get("uniqueId", ""),
            "aud": account.get("uniqueId", ""),
            "scope": " ".join(known["scopes"]),
            "exp": str(int(known["expires"])),
            "expires_in": str(left),
            "email": known["email"],
            "email_verified": "true",
            "access_type": "online",
        }
    )


@api.method("oauth2.userinfo.get", permission=None)
def userinfo(call: Call) -> Json:
    """Return the caller's identity."""
    account = call.cloud.accounts.get(call.caller.email) or {}
    return {"id": account.get("uniqueId", ""), "email": call.caller.email, "verified_email": True}


@api.route("GET", r"(/oauth2)?/v1/certs", anonymous=True)
def certificates(call: Call) -> Json:
    """Return the certificates that verify ID tokens, by key id."""
    key_id, _, certificate = call.cloud.auth.keys.signing("oauth2")
    return {key_id: certificate}


@api.route("GET", r"(/oauth2)?/v3/certs", anonymous=True)
def key_set(call: Call) -> Json:
    """Return the keys of ID tokens as a JSON Web Key Set."""
    key_id, key, _ = call.cloud.auth.keys.signing("oauth2")
    return {"keys": [jwk(key.public_key(), key_id)]}
