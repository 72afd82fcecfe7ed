# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""JWTs that service accounts sign: which the local cloud accepts, and which it refuses, with the reason."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.access import auth
from tests.localcloud.harness import PLATFORM, Local

OWNER = "owner@mlflow-local.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"


@dataclass
class Signer:
    """A service account with one key."""

    local: Local
    email: str
    key_id: str
    key: str
    public: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with changes; None removes a claim."""
        now = int(time.time())
        claims = {"iss": self.email, "scope": PLATFORM, "aud": AUDIENCE, "iat": now, "exp": now + 3600} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, *, header: dict[str, Any] | None = None, key: str | None = None, **changes: Any) -> str:
        """Return a signed JWT with changed claims."""
        return jwt.encode(self.claims(**changes), key or self.key, "RS256", header or {"kid": self.key_id})

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims that the local cloud accepts."""
        return self.local.cloud.auth.verify_assertion(token)


def part(value: Any) -> str:
    """Return one part of a compact JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture
def signer(local: Local) -> Signer:
    return new_signer(local, "signer")


def new_signer(local: Local, name: str) -> Signer:
    email = local.account(name, "roles/secretmanager.viewer")
    file, document = local.cloud.accounts.create_key(email, local.url)
    return Signer(local, email, file["private_key_id"], file["private_key"], document["publicKey"])


@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}])
def test_a_signed_assertion(signer: Signer, header: dict[str, Any]) -> None:
    now = int(time.time())
    times = {"iat": now, "exp": now + 3600}
    assert signer.verify(signer.signed(header=header, **times)) == signer.claims(**times)
    assert signer.verify(signer.signed(**times)) == signer.claims(**times)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": -10, "iat": -3000}, "short-lived"),
        ({"iat": 400}, "short-lived"),
        ({"exp": 4000}, "short-lived"),
        ({"exp": None}, "iat and exp are required"),
        ({"iat": None}, "iat and exp are required"),
        ({"iss": None}, "account not found"),
        ({"iss": "other@mlflow-local.iam.gserviceaccount.com"}, "account not found"),
        ({"iss": OWNER}, "Invalid JWT Signature"),
    ],
)
def test_wrong_claims(signer: Signer, changes: dict[str, Any], reason: str) -> None:
    """The times are seconds from now."""
    now = int(time.time())
    values = {name: now + value if isinstance(value, int) else value for name, value in changes.items()}
    with pytest.raises(ValueError, match=reason):
        signer.verify(signer.signed(**values))


def test_text_instead_of_a_time(signer: Signer) -> None:
    with pytest.raises(ValueError, match="iat and exp are required"):
        signer.verify(signer.signed(exp="tomorrow"))


def test_the_time_is_the_local_clouds(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = signer.signed(), time.time()
    monkeypatch.setattr(signer.local.cloud.clock, "time", lambda: now + 3700)
    with pytest.raises(ValueError, match="short-lived"):
        signer.verify(token)


def test_no_other_algorithm(signer: Signer) -> None:
    """Without a signature, and with the public key as the secret of an HMAC."""
    for algorithm in ("none", "HS256", "RS384"):
        signed = f"{part({'alg': algorithm, 'kid': signer.key_id})}.{part(signer.claims())}"
        code = hmac.HMAC(signer.public.encode(), hashes.SHA256())
        code.update(signed.encode())
        signature = "" if algorithm == "none" else base64.urlsafe_b64encode(code.finalize()).rstrip(b"=").decode()
        with pytest.raises(ValueError, match="alg must be RS256"):
            signer.verify(f"{signed}.{signature}")


def test_other_keys(local: Local, signer: Signer) -> None:
    other = new_signer(local, "other")
    for token in (
        signer.signed(header={"kid": "unknown"}),
        signer.signed(header={"kid": other.key_id}),
        signer.signed(header={"kid": other.key_id}, key=other.key),
        signer.signed(header={}, key=unknown_key()),
        f"{part({'alg': 'RS256'})}.{part(signer.claims())}.{signer.signed().rpartition('.')[2]}",
    ):
        with pytest.raises(ValueError, match="Invalid JWT Signature"):
            signer.verify(token)


def unknown_key() -> str:
    """Return a private key that no account has."""
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(pem, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("token", ["", "a.b.c", "a.b", f"{part([])}.{part([])}.x", "é.é.é"])
def test_no_jwt(signer: Signer, token: str) -> None:
    with pytest.raises(ValueError, match="Invalid JWT"):
        signer.verify(token)


def test_disabled_keys_and_accounts(local: Local, signer: Signer) -> None:
    keys, key = local.cloud.accounts.key_documents, f"{signer.email}/{signer.key_id}"
    keys.put(key, (keys.get(key) or {}) | {"disabled": True})
    for header in ({}, {"kid": signer.key_id}):
        with pytest.raises(ValueError, match="Invalid JWT Signature"):
            signer.verify(signer.signed(header=header))
    keys.put(key, (keys.get(key) or {}) | {"disabled": False})
    accounts = local.cloud.accounts.documents
    accounts.put(signer.email, (accounts.get(signer.email) or {}) | {"disabled": True})
    with pytest.raises(ValueError, match="account not found"):
        signer.verify(signer.signed())


def test_as_a_bearer_token(local: Local, signer: Signer) -> None:
    """A self-signed token has scopes or an audience."""

    def status(token: str) -> int:
        url = f"{local.url}/secretmanager/v1/projects/mlflow-local/secrets"
        return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code

    assert status(signer.signed()) == 200
    assert status(signer.signed(scope=None)) == 200
    assert status(signer.signed(scope=None, aud=None)) == 401
    assert status(signer.signed(header={"kid": "unknown"})) == 401


def test_published_keys_verify_id_tokens(local: Local) -> None:
    """The key set has the field `use`, and no field `key_ops` beside it (RFC 7517, 4.3)."""
    token = local.cloud.auth.issue_id_token(OWNER, "https://mlflow.example")
    keys = requests.get(f"{local.url}/oauth2/v3/certs", timeout=10).json()["keys"]
    assert [sorted(key) for key in keys] == [["alg", "e", "kid", "kty", "n", "use"]]
    key = jwt.PyJWKSet.from_dict({"keys": keys})[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, audience="https://mlflow.example", issuer=auth.ISSUER)
    assert claims["email"] == OWNER


@pytest.mark.parametrize("claims", [{"exp": "tomorrow"}, {"iss": 7}, {"exp": 99999999999}, ["a"]])
def test_claims_that_are_not_signed(local: Local, call: Callable[..., Any], claims: Any) -> None:
    email = local.account("target")
    accounts = "/iam/v1/projects/mlflow-local/serviceAccounts"
    binding = {"role": "roles/iam.serviceAccountTokenCreator", "members": [f"serviceAccount:{OWNER}"]}
    call("POST", f"{accounts}/{email}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    path = f"/iamcredentials/v1/projects/-/serviceAccounts/{email}:signJwt"
    call("POST", path, 400, json={"payload": json.dumps(claims)})
