# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The authorization endpoint: checks a request, shows the accounts and redirects to the client with a code."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.responses import RedirectResponse, Response

from localcloud.access.grants import CHALLENGE_METHODS, Authorization, OAuthError
from localcloud.access.oauth_clients import OAuthClient
from localcloud.access.users import User
from localcloud.framework.service import Call
from localcloud.services.oauth2.api import api, form, full_scopes, single
from localcloud.services.oauth2.pages import accounts_page, error_page

_SCOPE = re.compile(r"openid|https://(www\.googleapis\.com/auth/[a-z0-9._-]+|mail\.google\.com/)")
_PROMPTS = ("none", "consent", "select_account")
_RESPONSE_TYPES = ("code", "token", "id_token", "none")
# The length of an S256 challenge, and the lengths of a verifier (RFC 7636).
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")

Parameters = dict[str, str]


@api.route("GET POST", r"/o/oauth2(/v2)?/auth", anonymous=True)
def authorize(call: Call) -> Response:
    """Show the accounts. The page sends the same request again with the chosen account."""
    try:
        given = single(call.request.query_params.multi_items()) if call.request.method == "GET" else form(call)
        chosen, cancelled = given.pop("account", None), given.pop("cancel", None)
        client = _client(call, given)
        scopes = _scopes(given)
        _check(given)
    except OAuthError as error:
        return error_page(error)
    if given.get("prompt") == "none":
        return _redirect(given, {"error_subtype": "access_denied", "error": "interaction_required"})
    users = _offered(call.cloud.users.list(), given.get("hd"))
    if call.request.method == "GET" or not (chosen or cancelled):
        return accounts_page(client, users, given, given.get("login_hint", ""))
    user = next((user for user in users if user.email == chosen), None)
    if user is None:  # the person cancelled, or the account was removed
        return _redirect(given, {"error": "access_denied"})
    authorization = Authorization(
        client_id=client.id,
        email=user.email,
        scopes=scopes,
        redirect_uri=given["redirect_uri"],
        nonce=given.get("nonce"),
        challenge=given.get("code_challenge"),
        challenge_method=given.get("code_challenge_method", "plain"),
        offline=_offline(call, client, user, given),
    )
    answer = {"code": call.cloud.grants.issue_code(authorization), "scope": " ".join(scopes), "authuser": "0"}
    answer |= {"hd": user.hosted_domain} if user.hosted_domain else {}
    return _redirect(given, answer | {"prompt": given.get("prompt", "none")})


def _client(call: Call, given: Parameters) -> OAuthClient:
    """Return the client of a request, whose redirect URI can be trusted. Raises OAuthError."""
    client = call.cloud.oauth_clients.get(_required(given, "client_id"))
    if client is None:
        raise OAuthError("invalid_client", "The OAuth client was not found.", 401)
    uri = _required(given, "redirect_uri")
    if not client.accepts_redirect(uri):
        raise OAuthError(
            "redirect_uri_mismatch",
            "You can't sign in to this app because it doesn't comply with Google's OAuth 2.0 policy. If you're the app "
            f"developer, register the redirect URI in the Google Cloud Console. Request details: redirect_uri={uri}",
        )
    return client


def _scopes(given: Parameters) -> tuple[str, ...]:
    scopes = full_scopes(_required(given, "scope"))
    valid = [scope for scope in scopes if _SCOPE.fullmatch(scope)]
    if len(valid) < len(scopes):
        invalid = [scope for scope in scopes if scope not in valid]
        text = f"Some requested scopes were invalid. {{valid=[{', '.join(valid)}], invalid=[{', '.join(invalid)}]}}"
        raise OAuthError("invalid_scope", text)
    return scopes


def _check(given: Parameters) -> None:
    kinds = _required(given, "response_type").split()
    if any(kind not in _RESPONSE_TYPES for kind in kinds):
        raise OAuthError("invalid_request", f"Invalid response_type: {given['response_type']}")
    if kinds != ["code"]:
        raise OAuthError("not_emulated", f"The local cloud has no response_type={given['response_type']}.", 501)
    if given.get("response_mode", "query") not in ("query", "fragment"):
        raise OAuthError("not_emulated", f"The local cloud has no response_mode={given['response_mode']}.", 501)
    for prompt in given.get("prompt", "").split():
        if prompt not in _PROMPTS:
            raise OAuthError("invalid_request", f"Invalid parameter value for prompt: Invalid prompt: {prompt}")
    if given.get("access_type", "online") not in ("online", "offline"):
        # The text is not proven.
        raise OAuthError("invalid_request", f"Invalid access_type: {given['access_type']}")
    _check_challenge(given)


def _check_challenge(given: Parameters) -> None:
    """Check the PKCE challenge. The texts are not proven."""
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    if method is not None and method not in CHALLENGE_METHODS:
        raise OAuthError("invalid_request", f"Invalid parameter value for code_challenge_method: {method}")
    if method is not None and challenge is None:
        raise OAuthError("invalid_request", "Missing required parameter: code_challenge")
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "Invalid parameter value for code_challenge")


def _required(given: Parameters, name: str) -> str:
    if name not in given:
        raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    return given[name]


def _offered(users: list[User], domain: str | None) -> list[User]:
    """Return the accounts of a Workspace domain; with `*`, of all Workspace domains."""
    if domain is None:
        return users
    return [user for user in users if user.hosted_domain and domain in ("*", user.hosted_domain)]


def _offline(call: Call, client: OAuthClient, user: User, given: Parameters) -> bool:
    """Return whether the code gives a refresh token: always on a desktop, elsewhere at the first consent only."""
    if client.type == "desktop":
        return True
    first = "consent" in given.get("prompt", "") or not call.cloud.grants.granted(client.id, user.email)
    return given.get("access_type") == "offline" and first


def _redirect(given: Parameters, answer: Parameters) -> Response:
    """Redirect to the client with an answer and its state."""
    answer = ({"state": given["state"]} if "state" in given else {}) | answer
    parts = urlsplit(given["redirect_uri"])
    if given.get("response_mode") == "fragment":
        parts = parts._replace(fragment=urlencode(answer))
    else:
        parts = parts._replace(query="&".join(filter(None, [parts.query, urlencode(answer)])))
    return RedirectResponse(urlunsplit(parts), 302, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
