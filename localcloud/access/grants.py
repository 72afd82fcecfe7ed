# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What users granted to OAuth clients: authorization codes and refresh tokens, stored by hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from localcloud.access.auth import digest
from localcloud.core.clock import Clock
from localcloud.core.store import Store

Json = dict[str, Any]

CODE_LIFETIME = 600
"""Seconds. Google does not publish the lifetime of its codes."""
CHALLENGE_METHODS = ("plain", "S256")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class OAuthError(Exception):
    """A refusal with the error and the description of Google's OAuth endpoints."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True)
class Authorization:
    """A user's permission for a client, as an authorization code stands for it."""

    client_id: str
    email: str
    scopes: tuple[str, ...]
    redirect_uri: str
    nonce: str | None = None
    challenge: str | None = None
    challenge_method: str = "plain"
    offline: bool = False


@dataclass(frozen=True)
class Grant:
    """A user's permission for a client, as a refresh token stands for it."""

    client_id: str
    email: str
    scopes: tuple[str, ...]


class Grants:
    """Authorization codes (`auth.codes`) and refresh tokens (`auth.grants`), by hash."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._codes = store.collection("auth.codes")
        self._grants = store.collection("auth.grants")

    def issue_code(self, authorization: Authorization) -> str:
        """Return a new authorization code."""
        code = "4/0A" + secrets.token_urlsafe(52)
        now = self._clock.time()
        with self._store.transaction():
            for key, old in self._codes.items():
                if old["expires"] < now:
                    self._codes.delete(key)
            self._codes.put(digest(code), {**asdict(authorization), "expires": now + CODE_LIFETIME})
        return code

    def redeem(self, code: str, client_id: str, redirect_uri: str, verifier: str | None) -> Authorization:
        """Return the authorization of a code. A code is valid once, also if the redirect URI or the verifier is wrong.

        Raises OAuthError.
        """
        with self._store.transaction():
            document = self._codes.get(digest(code))
            if document is None or document["client_id"] != client_id:
                message = "Bad Request" if code.startswith("4/") else "Malformed auth code."
                raise OAuthError("invalid_grant", message)
            self._codes.delete(digest(code))
        if document.pop("expires") < self._clock.time():
            raise OAuthError("invalid_grant", "Bad Request")
        found = Authorization(**document | {"scopes": tuple(document["scopes"])})
        if found.redirect_uri != redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "Bad Request")
        _check_verifier(found, verifier)
        return found

    def issue_refresh_token(self, grant: Grant) -> str:
        """Return a new refresh token. It has no expiry."""
        token = "1//0" + secrets.token_urlsafe(72)
        self._grants.put(digest(token), asdict(grant))
        return token

    def granted(self, client_id: str, email: str) -> bool:
        """Return whether a client has a refresh token of a user."""
        return any((d["client_id"], d["email"]) == (client_id, email) for d in self._grants.list())

    def refresh(self, token: str, client_id: str) -> Grant:
        """Return the grant of a refresh token. Raises OAuthError."""
        document = self._grants.get(digest(token))
        if document is None:
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")
        if document["client_id"] != client_id:
            raise OAuthError("unauthorized_client", "Unauthorized", 401)
        return Grant(**document | {"scopes": tuple(document["scopes"])})

    def of_token(self, token: str) -> Grant | None:
        """Return the grant of a refresh token; None if the token is unknown."""
        document = self._grants.get(digest(token))
        return Grant(**document | {"scopes": tuple(document["scopes"])}) if document else None

    def forget(self, email: str, client_id: str | None = None) -> None:
        """Revoke the codes and refresh tokens of a user, of one client or of all."""
        with self._store.transaction():
            for collection in (self._codes, self._grants):
                for key, document in collection.items():
                    if document["email"] == email and client_id in (None, document["client_id"]):
                        collection.delete(key)


def _check_verifier(authorization: Authorization, verifier: str | None) -> None:
    """Compare the PKCE verifier with the challenge (RFC 7636). Raises OAuthError with Google's message."""
    if authorization.challenge is None:
        if verifier is not None:
            raise OAuthError("invalid_grant", "code_verifier or verifier is not needed.")
        return
    if verifier is None:
        raise OAuthError("invalid_grant", "Missing code verifier.")
    derived = verifier
    if authorization.challenge_method == "S256":
        derived = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(derived.encode(), authorization.challenge.encode()):
        raise OAuthError("invalid_grant", "Invalid code verifier.")
