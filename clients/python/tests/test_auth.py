# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The header, the audience of each server, and connections that are not encrypted."""

from __future__ import annotations

import pytest
import requests
import responses
from requests.auth import HTTPBasicAuth

from mlflow_gcp_auth import AuthenticationError, IdentityTokenAuth, Settings, auth
from mlflow_gcp_auth.cache import TokenCache
from mlflow_gcp_auth.identity_token import IdentityToken


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue tokens that name their audience."""

    def fetch(settings: Settings, audience: str) -> IdentityToken:
        return IdentityToken(f"token-for-{audience}", "a@example.com", 3600)

    monkeypatch.setattr(auth, "_TOKENS", TokenCache(fetch))


def prepared(url: str, headers: dict[str, str] | None = None) -> requests.PreparedRequest:
    return requests.Request("GET", url, headers=headers, auth=IdentityTokenAuth()).prepare()


@pytest.mark.parametrize(
    ("url", "audience"),
    [
        ("https://mlflow.example/api/2.0/mlflow/runs/get?run_id=1", "https://mlflow.example"),
        ("https://MLflow.example:443/", "https://mlflow.example"),
        ("https://mlflow.example:8443/team/a", "https://mlflow.example:8443"),
        ("https://user:password@mlflow.example/", "https://mlflow.example"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("http://localhost/", "http://localhost"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
    ],
)
def test_the_audience_is_the_origin(url: str, audience: str) -> None:
    assert prepared(url).headers["Authorization"] == f"Bearer token-for-{audience}"


@pytest.mark.parametrize("url", ["http://mlflow.example/", "http://10.0.0.2:5000/", "http://localhost.example/"])
def test_no_token_without_encryption(url: str) -> None:
    with pytest.raises(AuthenticationError, match="MLFLOW_TRACKING_URI to the https URL"):
        prepared(url)


def test_the_audience_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_GCP_AUTH_AUDIENCE", "1-iap.apps.googleusercontent.com")
    assert (
        prepared("https://a.example/").headers["Authorization"] == "Bearer token-for-1-iap.apps.googleusercontent.com"
    )


def test_the_token_replaces_basic_authentication() -> None:
    """MLflow sets this header if MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are set too."""
    request = prepared("https://a.example/", {"Authorization": "Basic x"})
    assert request.headers["Authorization"] == "Bearer token-for-https://a.example"


def test_the_header_of_identity_aware_proxy_keeps_basic_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_GCP_AUTH_HEADER", "Proxy-Authorization")
    request = prepared("https://a.example/", {"Authorization": "Basic x"})
    assert request.headers["Proxy-Authorization"] == "Bearer token-for-https://a.example"
    assert request.headers["Authorization"] == "Basic x"


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization"])
def test_a_redirect_to_another_host_gets_no_token(http: responses.RequestsMock, header: str) -> None:
    http.get("https://a.example/", status=302, headers={"Location": "https://b.example/"})
    http.get("https://b.example/", body="reached")
    assert requests.get("https://a.example/", auth=IdentityTokenAuth(Settings(header=header)), timeout=5).ok
    first, second = (call.request.headers for call in http.calls)
    assert header in first
    assert header not in second


def test_settings_of_the_caller_replace_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_GCP_AUTH_AUDIENCE", "ignored")
    request = requests.Request("GET", "https://a.example/", auth=IdentityTokenAuth(Settings("mine"))).prepare()
    assert request.headers["Authorization"] == "Bearer token-for-mine"


def test_netrc_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: object, http: responses.RequestsMock) -> None:
    from pathlib import Path

    (Path(str(tmp_path)) / ".netrc").write_text("machine a.example login user password secret\n")
    http.get("https://a.example/", body="")
    requests.get("https://a.example/", timeout=5)
    requests.get("https://a.example/", auth=IdentityTokenAuth(), timeout=5)
    basic, token = (call.request.headers["Authorization"] for call in http.calls)
    expected = requests.Request("GET", "https://a.example", auth=HTTPBasicAuth("user", "secret")).prepare()
    assert basic == expected.headers["Authorization"]
    assert token == "Bearer token-for-https://a.example"
