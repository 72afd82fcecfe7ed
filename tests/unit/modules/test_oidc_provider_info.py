# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A provider that does not offer what sign-in needs is refused with the cause."""

from __future__ import annotations

import io
import json
import urllib.error
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oidc
from ansible_collections.mlops.mlflow_gcp.plugins.modules import oidc_provider_info

from tests.unit.harness import Play

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}
# The fields that Google publishes.
GOOGLE: dict[str, Any] = {
    "issuer": "https://accounts.google.com",
    "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
    "token_endpoint": "https://oauth2.googleapis.com/token",
    "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    "response_types_supported": ["code", "token", "id_token", "code token", "none"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid", "email", "profile"],
    "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "picture", "sub"],
    "code_challenge_methods_supported": ["plain", "S256"],
}


@pytest.fixture
def run(play: Play, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CLOUDSDK_AUTH_AUTH_HOST", raising=False)

    def run(document: Any = GOOGLE, published: Any = None, **options: Any) -> dict[str, Any]:
        asked: list[str] = []

        def open_url(url: str, **_: Any) -> io.BytesIO:
            asked.append(url)
            answer = document if "well-known" in url else published
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(json.dumps(answer).encode())

        monkeypatch.setattr(oidc_provider_info, "open_url", open_url)
        given = {"issuer": GOOGLE["issuer"], "variable": "my_issuer", **options}
        return play(oidc_provider_info, **OWN, **given) | {"asked": asked}

    return run


def test_the_endpoints_of_google(run: Any) -> None:
    found = run()
    assert found["changed"] is False
    assert found["asked"] == ["https://accounts.google.com/.well-known/openid-configuration"]
    assert {name: found[name] for name in _oidc.ENDPOINTS} == {name: GOOGLE[name] for name in _oidc.ENDPOINTS}
    assert found["algorithms"] == ["RS256"]


def test_optional_fields_may_be_missing(run: Any) -> None:
    needed = ("issuer", *_oidc.ENDPOINTS)
    assert run({name: GOOGLE[name] for name in needed}, groups_claim="groups")["algorithms"] == ["RS256"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"issuer": "https://other.example"}, "the document is of the issuer 'https://other.example'"),
        ({"token_endpoint": None}, "token_endpoint is '', which is no https URL"),
        ({"jwks_uri": "http://a.example/keys"}, "jwks_uri is 'http://a.example/keys', which is no https URL"),
        ({"response_types_supported": ["id_token"]}, "does not support the authorization code flow"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not support PKCE with S256"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs no ID token with a public key"),
        ({"scopes_supported": ["openid"]}, "the provider has no scope email (scopes_supported)"),
        ({"claims_supported": ["sub"]}, "the provider has no claim email (claims_supported)"),
    ],
)
def test_an_unusable_provider_is_refused(run: Any, changed: dict[str, Any], message: str) -> None:
    found = run(GOOGLE | changed, fails=True)
    assert found["msg"].startswith("my_issuer is https://accounts.google.com, but ")
    assert message in found["msg"]


def test_groups_need_a_claim(run: Any) -> None:
    found = run(groups_claim="groups", fails=True)
    assert "the provider has no claim of groups groups (claims_supported)" in found["msg"]


@pytest.mark.parametrize("answer", [urllib.error.URLError("no route to host"), ValueError("no JSON"), ["a", "list"]])
def test_an_unreachable_provider_is_named(run: Any, answer: Any) -> None:
    found = run(answer, fails=True)
    assert "https://accounts.google.com/.well-known/openid-configuration" in found["msg"]
    assert "Correct my_issuer, or restore the connection to the provider." in found["msg"]


def test_the_keys_are_read_on_request(run: Any) -> None:
    assert GOOGLE["jwks_uri"] not in run()["asked"]
    assert GOOGLE["jwks_uri"] in run(published={"keys": [{"kid": "a"}]}, keys=True)["asked"]
    assert "publishes no keys" in run(published={"keys": []}, keys=True, fails=True)["msg"]
    away = run(published=urllib.error.URLError("refused"), keys=True, fails=True)
    assert "the keys of the provider cannot be read from https://www.googleapis.com/oauth2/v3/certs" in away["msg"]


def test_gcloud_s_host_replaces_that_of_google_only() -> None:
    environment = {"CLOUDSDK_AUTH_AUTH_HOST": "http://127.0.0.1:8787/o/oauth2/auth"}
    google = _oidc.discovery_url(_oidc.GOOGLE, environment)
    assert google == "http://127.0.0.1:8787/.well-known/openid-configuration"
    other = _oidc.discovery_url("https://login.example/realms/a", environment)
    assert other == "https://login.example/realms/a/.well-known/openid-configuration"
