# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Information about the holder of a token, and the keys of ID tokens."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from localcloud.access.auth import jwk
from localcloud.access.grants import OAuthError
from localcloud.access.users import EMAIL_SCOPE, User
from localcloud.framework.service import Call, Json
from localcloud.services.oauth2.api import api, form, refusal


@api.route("GET POST", r"(/oauth2)?(/v[13])?/tokeninfo", anonymous=True)
def tokeninfo(call: Call) -> Response:
    """Return the account, scopes and expiry of an access token."""
    try:
        given: Any = dict(call.request.query_params) | form(call)
        known = call.cloud.auth.describe(given.get("access_token") or given.get("accessToken") or "")
        if known is None:
            raise OAuthError("invalid_token", "Invalid Value")
    except OAuthError as error:
        return refusal(error)
    user = call.cloud.users.get(known["email"])
    account = call.cloud.accounts.get(known["email"]) or {}
    number = known.get("client_id") or account.get("uniqueId", "")
    return JSONResponse(
        {
            "azp": number,
            "aud": number,
            **({"sub": user.id} if user else {}),
            "scope": " ".join(known["scopes"]),
            "exp": str(int(known["expires"])),
            "expires_in": str(int(known["expires"] - call.cloud.clock.time())),
            "email": known["email"],
            "email_verified": str(user is None or user.email_verified).lower(),
            "access_type": "online",
        }
    )


@api.method("oauth2.userinfo.get", permission=None)
def userinfo_of_the_api(call: Call) -> Json:
    """Return the caller's identity, in the older form of the API."""
    claims = _identity(call, call.caller.email, set(call.caller.scopes) | {EMAIL_SCOPE})
    number, verified = claims.pop("sub"), claims.pop("email_verified")
    return {"id": number, "verified_email": verified} | claims


@api.route("GET POST", r"(/oauth2/v3|/v1)/userinfo")
def userinfo(call: Call) -> Json:
    """Return the claims about the holder of an access token, which the scopes of the token allow."""
    return _identity(call, call.caller.email, set(call.caller.scopes))


def _identity(call: Call, email: str, scopes: set[str]) -> Json:
    user = call.cloud.users.get(email)
    if user is None:  # a service account
        number = (call.cloud.accounts.get(email) or {}).get("uniqueId", "")
        user = User(email, email, id=number)
        scopes = scopes & {EMAIL_SCOPE}
    return user.claims(scopes)


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
