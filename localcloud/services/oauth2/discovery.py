# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The discovery document of OpenID Connect."""

from __future__ import annotations

from localcloud.access.auth import ISSUER
from localcloud.access.grants import CHALLENGE_METHODS
from localcloud.framework.service import Call, Json
from localcloud.services.oauth2.api import api

_RESPONSE_TYPES = (
    "code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token", "none",
)  # fmt: skip
_CLAIMS = (
    "aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name", "picture", "sub",
)  # fmt: skip


@api.route("GET", r"/\.well-known/openid-configuration", anonymous=True)
def discovery(call: Call) -> Json:
    """Return Google's document. It lists more than the local cloud emulates."""
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/o/oauth2/v2/auth",
        "device_authorization_endpoint": "https://oauth2.googleapis.com/device/code",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
        "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
        "response_types_supported": [*_RESPONSE_TYPES],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": [*_CLAIMS],
        "code_challenge_methods_supported": list(CHALLENGE_METHODS),
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ],
    }
