# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read the credential of a request, and remove headers that MLflow must not see.

`X-MLflow-Authorization` comes first, in every authentication mode. nginx overwrites it. It holds a `Basic` credential
(RFC 7617), or `Identity SECRET ADDRESS`: an identity that nginx verified, with the secret that proves nginx.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from .limit import Credential

MAXIMAL_LENGTH = 4096
"""Maximal bytes of a header with a credential."""
GATEWAY = "/gateway/"
"""Routes on which `Authorization` may hold the key of a model provider."""
OWN_HEADER = b"x-mlflow-authorization"
AUTHORIZATION = b"authorization"
COOKIE = b"cookie"
IDENTITY_PREFIX = b"x-mlflow-identity-"
METHODS = ("cookie", "bearer")
"""How nginx verified an identity."""

Headers = list[tuple[bytes, bytes]]


class MalformedError(Exception):
    """A request has no valid credential. The message says why."""


@dataclass(frozen=True)
class SentIdentity:
    """The headers of an identity. The secret is not checked yet."""

    secret: str
    address: str
    groups: frozenset[str]
    hosted_domain: str
    method: str


def parse_basic(header: bytes) -> Credential:
    """Return the user name and password of a `Basic` credential, or raise MalformedError."""
    if len(header) > MAXIMAL_LENGTH:
        raise MalformedError(f"it is longer than {MAXIMAL_LENGTH} bytes")
    scheme, space, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or not space:
        raise MalformedError("only the scheme Basic is accepted")
    try:
        text = base64.b64decode(encoded.strip(b" "), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise MalformedError("it is not the base64 form of UTF-8 text") from None
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise MalformedError("it holds no user name, colon and password")
    # PostgreSQL refuses NUL. RFC 7617 forbids all control characters.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MalformedError("it holds a control character")
    return Credential(username, password)


def basic(credential: Credential) -> bytes:
    """Return a header with a user name and password."""
    return b"Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode())


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return the values of a header that are not empty."""
    return [value for key, value in headers if key == name and value]


def _only(headers: Headers, name: bytes) -> bytes:
    """Return the value of a header, empty if there is none, or raise MalformedError if there are several."""
    found = values(headers, name)
    if len(found) > 1:
        raise MalformedError(f"the header {name.decode()} was sent {len(found)} times")
    return found[0] if found else b""


def _text(headers: Headers, name: bytes) -> str:
    value = _only(headers, name)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"the header {name.decode()} is not UTF-8 text") from None


def parse_identity(header: bytes, headers: Headers) -> SentIdentity:
    """Return the identity of a request, or raise MalformedError."""
    # Exactly three parts. An address with a space is refused later.
    parts = header.split(b" ", 2)
    if len(header) > MAXIMAL_LENGTH or len(parts) != 3:
        raise MalformedError("the identity does not have three parts")
    method = _text(headers, IDENTITY_PREFIX + b"method")
    groups = _text(headers, IDENTITY_PREFIX + b"groups").split(",")
    return SentIdentity(
        secret=parts[1].decode("latin-1"),
        address=parts[2].decode("utf-8", "replace"),
        groups=frozenset(name.strip() for name in groups if name.strip()),
        hosted_domain=_text(headers, IDENTITY_PREFIX + b"domain"),
        method=method if method in METHODS else "",
    )


def read(scope: Scope, *, identities: bool) -> Credential | SentIdentity | None:
    """Return the credential of a request, None if there is none, or raise MalformedError.

    Args:
        scope: The request.
        identities: Whether identities are accepted.
    """
    headers: Headers = list(scope["headers"])
    header = _only(headers, OWN_HEADER) or _only(headers, AUTHORIZATION)
    if not header:
        return None
    # Only nginx sets the own header. nginx never passes an identity in Authorization.
    if identities and header.split(b" ")[0].lower() == b"identity" and values(headers, OWN_HEADER):
        return parse_identity(header, headers)
    return parse_basic(header)


def _is_identity(name: bytes) -> bool:
    """Return whether a header is ours in any spelling. WSGI does not distinguish hyphens and underscores."""
    spelled = name.lower().replace(b"_", b"-")
    return spelled.startswith(IDENTITY_PREFIX) or (spelled == OWN_HEADER and name != OWN_HEADER)


def without_identity(scope: Scope) -> Scope:
    """Return the request without the headers of an identity."""
    kept = [(name, value) for name, value in scope["headers"] if not _is_identity(name)]
    return {**scope, "headers": kept}


def _for_gateway(headers: Headers, *, single_sign_on: bool) -> Headers:
    """Return the headers on a route of the gateway, which MLflow forwards to the model provider.

    With single sign-on, MLflow needs no credential there. `Authorization` is the key of the provider if another header
    holds the credential.
    """
    removed = {COOKIE}
    if single_sign_on:
        key = values(headers, OWN_HEADER) and not any(
            value[:6].lower() == b"basic " for value in values(headers, AUTHORIZATION)
        )
        removed |= {OWN_HEADER} if key else {OWN_HEADER, AUTHORIZATION}
    return [pair for pair in headers if pair[0] not in removed]


def for_mlflow(scope: Scope, credential: Credential, *, single_sign_on: bool) -> Scope:
    """Return the request as MLflow gets it.

    MLflow reads `Authorization` to check the password, and to learn as whom it starts background jobs.

    Args:
        scope: The request without the headers of an identity.
        credential: The user name and password. The password of an identity is empty.
        single_sign_on: Whether MLflow asks this package for the user of a request.
    """
    headers: Headers = list(scope["headers"])
    if scope["path"].startswith(GATEWAY):
        return {**scope, "headers": _for_gateway(headers, single_sign_on=single_sign_on)}
    kept = [pair for pair in headers if pair[0] not in (OWN_HEADER, AUTHORIZATION)]
    return {**scope, "headers": [*kept, (AUTHORIZATION, basic(credential))]}
