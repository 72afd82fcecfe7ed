# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM Credentials: short-lived tokens and signatures of a service account."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from collections.abc import Callable

from localcloud.access.auth import encode_jwt, sign
from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.iamcredentials.api import api

_ID = "iamcredentials.projects.serviceAccounts."


def _find(call: Call) -> Json | None:
    return call.cloud.accounts.get(str(call.params["name"]).split("/")[3])


def _bind(method: str, permission: str) -> Callable[[Callable[[Call], Json]], Callable[[Call], Json]]:
    def bind(handler: Callable[[Call], Json]) -> Callable[[Call], Json]:
        def checked(call: Call) -> Json:
            _require(call, permission)
            return handler(call)

        api.method(_ID + method, permission=None)(checked)
        return handler

    return bind


def _require(call: Call, permission: str) -> None:
    """Require the permission on the account itself (an IAM resource), through each delegate in turn."""
    caller = call.caller
    chain = [str(d).rsplit("/", 1)[1] for d in call.body.get("delegates") or []]
    for email, needed in [*((d, "iam.serviceAccounts.implicitDelegation") for d in chain), (None, permission)]:
        account = call.cloud.accounts.get(email) if email else _find(call)
        resource = f"//iam.googleapis.com/{account['name']}" if account else None
        project = account["projectId"] if account else None
        if account is None or not call.cloud.permissions.allowed(caller, needed, project, resource):
            raise ApiError(403, None, f"Permission '{needed}' denied on resource (or it may not exist).")
        if account.get("disabled"):
            raise ApiError(400, "FAILED_PRECONDITION", f"Service account {account['email']} is disabled.")
        caller = type(caller)(account["email"], caller.scopes)


def _email(call: Call) -> str:
    return str((_find(call) or {})["email"])


@_bind("generateAccessToken", "iam.serviceAccounts.getAccessToken")
def generate_access_token(call: Call) -> Json:
    """Return an access token for at most an hour."""
    scopes = call.body.get("scope") or []
    if not scopes:
        raise ApiError(400, None, "Request must contain at least one scope.")
    seconds = float((call.body.get("lifetime") or "3600s").removesuffix("s"))
    if not 0 < seconds <= 3600:
        raise ApiError(400, None, "The lifetime must be between 1 and 3600 seconds.")
    issued = call.cloud.auth.issue_access_token(_email(call), scopes, int(seconds))
    expires = datetime.datetime.fromtimestamp(int(call.cloud.clock.time() + seconds), datetime.UTC)
    return {"accessToken": issued.token, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


@_bind("generateIdToken", "iam.serviceAccounts.getOpenIdToken")
def generate_id_token(call: Call) -> Json:
    """Return an ID token for an audience."""
    audience = call.body.get("audience")
    if not audience:
        raise ApiError(400, None, "Request must contain an audience.")
    token = call.cloud.auth.issue_id_token(_email(call), audience, include_email=bool(call.body.get("includeEmail")))
    return {"token": token}


@_bind("signBlob", "iam.serviceAccounts.signBlob")
def sign_blob(call: Call) -> Json:
    """Sign bytes with the account's Google-managed key."""
    try:
        payload = base64.b64decode((call.body.get("payload") or "").replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ApiError(400, None, "Invalid value at 'payload' (TYPE_BYTES), Base64 decoding failed.") from error
    key_id, key, _ = call.cloud.auth.keys.of_account(_email(call))
    return {"keyId": key_id, "signedBlob": base64.b64encode(sign(key, payload)).decode()}


@_bind("signJwt", "iam.serviceAccounts.signJwt")
def sign_jwt(call: Call) -> Json:
    """Sign claims with the account's Google-managed key."""
    try:
        claims = json.loads(call.body.get("payload") or "")
    except ValueError as error:
        raise ApiError(400, None, "The payload is not a JSON object of claims.") from error
    if not isinstance(claims, dict) or not isinstance(claims.get("iss", ""), str):
        raise ApiError(400, None, "The payload is not a JSON object of claims.")
    expires = claims.get("exp", 0)
    if not isinstance(expires, int | float) or expires > call.cloud.clock.time() + 12 * 3600:
        raise ApiError(400, None, "The exp claim must be no more than 12 hours in the future.")
    key_id, key, _ = call.cloud.auth.keys.of_account(_email(call))
    return {"keyId": key_id, "signedJwt": encode_jwt(claims, key, key_id)}


@api.method(_ID + "getAllowedLocations", permission=None)
def allowed_locations(call: Call) -> Json:
    """Return the locations from which the account may be used: all (google-auth asks without a user's request)."""
    return {"locations": [], "encodedLocations": "0x0"}


@api.route("GET", r"/(robot|service_accounts)/v1/metadata/x509/(?P<email>[^/]+)", anonymous=True)
def certificates(call: Call) -> Json:
    """Return the certificates of an account's keys. Any client may use them to verify its signatures."""
    email = re.sub("%40", "@", str(call.params["email"]))
    account = call.cloud.accounts.get(email)
    if account is None:
        raise ApiError(404, None, f"Unknown service account: {email}")
    key_id, _, certificate = call.cloud.auth.keys.of_account(email)
    own = {
        d["id"]: d["certificate"] for d in call.cloud.accounts.key_documents.list(f"{email}/") if not d.get("disabled")
    }
    return own | {key_id: certificate}
