# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identity tokens, credentials files and an environment without credentials."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

VARIABLES = ("GOOGLE_", "GCLOUD_", "GCE_", "NO_GCE_CHECK", "CLOUDSDK_", "MLFLOW_")


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the credentials of the person that runs the tests."""
    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    """Yield scripted HTTP: a request without a scripted answer fails."""
    before = set(threading.enumerate())
    with responses.RequestsMock(assert_all_requests_are_fired=False) as scripted:
        # google-auth looks up the locations of a service account in a thread.
        scripted.get(re.compile(r"https://iamcredentials\.googleapis\.com/.*/allowedLocations"), json={})
        yield scripted
        for thread in set(threading.enumerate()) - before:
            thread.join(30)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture
def issue() -> Callable[..., str]:
    """Return `issue(audience, email=…)`: a new token with an hour's lifetime. None removes a claim."""

    def issue(audience: str = "https://mlflow.example", **changes: Any) -> str:
        now = int(time.time())
        claims = {"aud": audience, "email": "robot@p.iam.gserviceaccount.com", "iat": now, "exp": now + 3600} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"

    return issue


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Return a function that writes a credentials file and names it in GOOGLE_APPLICATION_CREDENTIALS."""

    def write(content: dict[str, Any]) -> Path:
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(content))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        return path

    return write


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def key(private_key: str) -> dict[str, Any]:
    """Return a service account's key file."""
    return {
        "type": "service_account",
        "client_email": "robot@p.iam.gserviceaccount.com",
        "private_key_id": "k",
        "private_key": private_key,
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.fixture
def person() -> dict[str, Any]:
    """Return the file of `gcloud auth application-default login --client-id-file=…`."""
    return {
        "type": "authorized_user",
        "client_id": "1-desktop.apps.googleusercontent.com",
        "client_secret": "GOCSPX-client-secret",
        "refresh_token": "1//refresh-token",
        "quota_project_id": "project",
    }
