# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The exception of this package, and texts of other exceptions without credentials."""

from __future__ import annotations

import re

_MAX_LENGTH = 500

# JSON Web Tokens, access tokens, refresh tokens, client secrets, and any other long word. The longest words in Google's
# own messages (names of permissions and resources) are shorter.
_CREDENTIAL = re.compile(r"eyJ[\w.-]+|ya29\.[\w.-]+|1//[\w-]+|GOCSPX-[\w-]+|[\w-]{40,}")


class AuthenticationError(Exception):
    """No identity token is available. The message contains the cause and the remedy, and no credential."""


def words(error: Exception) -> str:
    """Return the message of an exception as a sentence without credentials.

    Only the first argument is used: google-auth passes the whole answer of a token endpoint as the second one.
    """
    text = str(error.args[0] if error.args else error) or type(error).__name__
    text = _CREDENTIAL.sub("[redacted]", " ".join(text.split()))
    return text.rstrip(".") + "." if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
