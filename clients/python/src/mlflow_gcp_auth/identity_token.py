# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An identity token: a JSON Web Token of Google with an e-mail address."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from mlflow_gcp_auth.errors import AuthenticationError


@dataclass(frozen=True)
class IdentityToken:
    """A token as Google returned it. The server verifies the signature, this package does not."""

    value: str = field(repr=False)
    email: str
    lifetime: float
    """Seconds from the reception of the token to its expiry."""

    @classmethod
    def parse(cls, value: str) -> IdentityToken:
        """Read the claims of a token.

        :raises AuthenticationError: the token cannot be read, or it has no e-mail address.
        """
        claims = _claims(value)
        issued, expires, email = claims.get("iat"), claims.get("exp"), claims.get("email")
        if not isinstance(issued, (int, float)) or not isinstance(expires, (int, float)) or expires <= issued:
            raise AuthenticationError("Google's answer contains a token without a valid time of issue and expiry.")
        if not isinstance(email, str) or not email:
            raise AuthenticationError("Google's answer contains a token without an e-mail address.")
        return cls(value, email, _remaining(issued, expires))


def _remaining(issued: float, expires: float) -> float:
    """Return the remaining lifetime in seconds.

    The metadata server returns tokens that it issued earlier. Every other endpoint issues a new token. An age that no
    valid token can have shows that the local clock is wrong: the token then counts as new.
    """
    age = time.time() - issued
    return expires - issued - age if 0 <= age < expires - issued else expires - issued


def _claims(value: str) -> dict[str, Any]:
    try:
        payload = value.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        claims = None
    if not isinstance(claims, dict):
        raise AuthenticationError("Google's answer contains no readable identity token.")
    return claims
