# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The token endpoint: tokens for assertions of service accounts, authorization codes and refresh tokens of users."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from urllib.parse import unquote_plus

from starlette.responses import Response

from localcloud.access.grants import Grant, OAuthError
from localcloud.access.oauth_clients import OAuthClient
from localcloud.framework.service import Call, Json
from localcloud.services.oauth2.api import api, form, full_scopes, refusal, secret_answer

Form = dict[str, str]


@api.route("POST", r"/(token|o/oauth2/token|oauth2/v4/token|oauth2/token)", anonymous=True)
def token(call: Call) -> Response:
    """Exchange an assertion, an authorization code or a refresh token."""
    try:
        given = form(call)
        grant_type = given.get("grant_type", "")
        if grant_type not in _GRANTS:
            raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
        return secret_answer(_GRANTS[grant_type](call, given))
    except OAuthError as error:
        return refusal(error)


@api.route("POST", r"/device/code", anonymous=True)
def device_code(call: Call) -> Response:
    """Refuse the device flow, which is not emulated."""
    return refusal(OAuthError("not_emulated", "The local cloud has no device flow.", 501))


@api.route("GET POST", r"(/o/oauth2)?/revoke", anonymous=True)
def revoke(call: Call) -> Response:
    """Revoke a user's refresh token or access token, and all tokens of the same client and user."""
    try:
        value = (form(call) | dict(call.request.query_params)).get("token", "")
        grant = call.cloud.grants.of_token(value)
        known = call.cloud.auth.describe(value) or {}
        email, client_id = (grant.email, grant.client_id) if grant else (known.get("email"), known.get("client_id"))
        if not email or not client_id:
            raise OAuthError("invalid_token", "Token expired or revoked")
        with call.cloud.store.transaction():
            call.cloud.grants.forget(email, client_id)
            call.cloud.auth.revoke_access_tokens(email, client_id)
        return secret_answer({})
    except OAuthError as error:
        return refusal(error)


def _assertion(call: Call, given: Form) -> Json:
    """Exchange a service account's assertion for an access token, or for an ID token if it has `target_audience`."""
    try:
        claims = call.cloud.auth.verify_assertion(given.get("assertion", ""))
    except ValueError as error:
        raise OAuthError("invalid_grant", str(error)) from error
    email = str(claims["iss"])
    if claims.get("target_audience"):
        return {"id_token": call.cloud.auth.issue_id_token(email, str(claims["target_audience"]))}
    scopes = str(claims.get("scope", "")).split()
    if not scopes:
        raise OAuthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    issued = call.cloud.auth.issue_access_token(email, scopes)
    return {"access_token": issued.token, "expires_in": issued.expires_in, "token_type": "Bearer"}


def _code(call: Call, given: Form) -> Json:
    client = _client(call, given)
    for name in ("code", "redirect_uri"):
        if name not in given:
            raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    found = call.cloud.grants.redeem(given["code"], client.id, given["redirect_uri"], given.get("code_verifier"))
    grant = Grant(client.id, found.email, found.scopes)
    answer = _tokens(call, grant, found.scopes, found.nonce)
    return answer | ({"refresh_token": call.cloud.grants.issue_refresh_token(grant)} if found.offline else {})


def _refresh(call: Call, given: Form) -> Json:
    client = _client(call, given)
    if "refresh_token" not in given:
        raise OAuthError("invalid_request", "Missing required parameter: refresh_token")
    grant = call.cloud.grants.refresh(given["refresh_token"], client.id)
    scopes = full_scopes(given["scope"]) if "scope" in given else grant.scopes
    if not set(scopes) <= set(grant.scopes):
        raise OAuthError("invalid_scope", "Bad Request")
    return _tokens(call, grant, scopes)


_GRANTS: dict[str, Callable[[Call, Form], Json]] = {
    "authorization_code": _code,
    "refresh_token": _refresh,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _assertion,
}


def _client(call: Call, given: Form) -> OAuthClient:
    """Return the client that sends a request, by its secret in the form or in the header. Raises OAuthError."""
    client_id, secret = _basic(call) or (given.get("client_id"), given.get("client_secret"))
    if not client_id:
        raise OAuthError("invalid_request", "Could not determine client ID from request.")
    client = call.cloud.oauth_clients.get(client_id)
    if client is None:
        raise OAuthError("invalid_client", "The OAuth client was not found.", 401)
    if not secret:
        raise OAuthError("invalid_request", "client_secret is missing.")
    if not client.accepts_secret(secret):
        raise OAuthError("invalid_client", "Unauthorized", 401)
    return client


def _basic(call: Call) -> tuple[str, str] | None:
    scheme, _, value = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_client", "Unauthorized", 401) from None
    return unquote_plus(name), unquote_plus(secret)


def _tokens(call: Call, grant: Grant, scopes: tuple[str, ...], nonce: str | None = None) -> Json:
    """Return an access token and, with the scope openid, an ID token. Raises OAuthError if the user was removed."""
    user = call.cloud.users.get(grant.email)
    if user is None:
        raise OAuthError("invalid_grant", "Account has been deleted")
    issued = call.cloud.auth.issue_access_token(user.email, list(scopes), client_id=grant.client_id)
    answer: Json = {
        "access_token": issued.token,
        "expires_in": issued.expires_in - 1,
        "scope": " ".join(scopes),
        "token_type": "Bearer",
    }
    if "openid" in scopes:
        claims = user.claims(set(scopes))
        answer["id_token"] = call.cloud.auth.issue_id_token_of_user(claims, grant.client_id, issued.token, nonce=nonce)
    return answer
