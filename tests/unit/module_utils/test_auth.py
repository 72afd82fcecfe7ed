# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 1: whose token goes with a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._auth import AuthOptions, session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TOKENS = "http://tokens.example/oauth2/token"
IAM = "http://tokens.example/iamcredentials/"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = tmp_path / "key.json"
    email = "robot@my-project.iam.gserviceaccount.com"
    path.write_text(
        json.dumps({"type": "service_account", "client_email": email, "private_key": pem, "token_uri": TOKENS})
    )
    return path


def token_sent(options: AuthOptions, environ: dict[str, str] | None = None) -> str:
    """The Authorization header of a request made with these options."""
    responses.get("https://api.example/", json={})
    session(options, environ or {}).get("https://api.example/")
    sent: str = requests_to("https://api.example/")[-1].headers["authorization"]
    return sent


def requests_to(url: str) -> list[Any]:
    """The requests to one address: google-auth has a thread of its own, which may still ask for an earlier test."""
    return [call.request for call in responses.calls if call.request.url == url]


@responses.activate
def test_access_token() -> None:
    assert token_sent(AuthOptions("access_token", access_token="abc")) == "Bearer abc"


@responses.activate
def test_service_account_key_is_exchanged_at_its_own_address(key_file: Path) -> None:
    responses.post(TOKENS, json={"access_token": "from-key", "expires_in": 3600})
    options = AuthOptions("service_account_file", service_account_file=str(key_file))
    assert token_sent(options) == "Bearer from-key"


@responses.activate
def test_application_default_credentials(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    responses.post(TOKENS, json={"access_token": "from-default", "expires_in": 3600})
    assert token_sent(AuthOptions()) == "Bearer from-default"


@responses.activate
def test_impersonation_goes_through_its_delegates_and_the_overridden_endpoint() -> None:
    target = "target@my-project.iam.gserviceaccount.com"
    url = f"{IAM}v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    responses.post(url, json={"accessToken": "borrowed", "expireTime": "2099-01-01T00:00:00Z"})
    options = AuthOptions("access_token", access_token="abc", impersonate_service_account=f"middle@x, {target}")
    assert token_sent(options, {"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": IAM}) == "Bearer borrowed"
    (asked,) = requests_to(url)
    assert asked.headers["authorization"] == "Bearer abc"
    assert any("middle@x" in delegate for delegate in json.loads(asked.body)["delegates"])


@pytest.mark.parametrize("kind", ["access_token", "service_account_file"])
def test_what_is_missing_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match=f"auth_kind={kind} needs {kind}"):
        session(AuthOptions(kind))


@responses.activate
def test_the_end_of_a_tokens_line_is_no_part_of_it() -> None:
    assert token_sent(AuthOptions("access_token", access_token=" abc\n")) == "Bearer abc"


@pytest.mark.parametrize("token", ["ya29.secret\nsecond line", "ya29.secret and more", "ya29.secrét"])
def test_what_is_no_token_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(ValueError, match="no token has") as caught:
        session(AuthOptions("access_token", access_token=token))
    assert "ya29" not in str(caught.value)


def test_tokens_are_not_printed() -> None:
    assert "abc" not in repr(AuthOptions("access_token", access_token="abc"))
