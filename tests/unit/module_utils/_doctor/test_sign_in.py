# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check results of OAuth2-Proxy, of the provider and of the way of a browser to the provider."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor import sign_in
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.endpoint import Endpoint
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

Json = dict[str, Any]
HOST = "mlflow.example.com"
ENDPOINTS = {
    "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
    "token_endpoint": "https://oauth2.googleapis.com/token",
    "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
}
SECRET = {"present": True, "size": 32, "mode": "0600", "white_space": False}


def facts(**changed: Any) -> Json:
    unit = {"ActiveState": "active", "SubState": "running", "NRestarts": "0", "Result": "success"}
    return {
        "units": {sign_in.SOCKET: unit, sign_in.SERVICE: unit},
        "version": "7.15.6",
        "configuration": {"issuer": "https://accounts.google.com", "client_id": "1-a", **ENDPOINTS},
        "secrets": {sign_in.CLIENT_SECRET: SECRET, sign_in.COOKIE_SECRET: SECRET},
        "provider": ENDPOINTS,
    } | changed


def unit(**changed: str) -> Json:
    healthy = facts()["units"]
    return healthy | {sign_in.SERVICE: healthy[sign_in.SERVICE] | changed}


def test_a_healthy_service() -> None:
    result = sign_in.service(facts(), "7.15.6")
    assert (result.state, result.value) == ("ok", "7.15.6, oauth2-proxy.socket active, oauth2-proxy.service active")


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({"units": unit(ActiveState="failed", Result="exit-code")}, "fail", "service failed (result exit-code)"),
        ({"units": unit(NRestarts="7")}, "warn", "restarted 7 times"),
        ({"version": "7.15.5"}, "warn", "the role variable has version 7.15.6"),
        ({"secrets": {sign_in.COOKIE_SECRET: SECRET}}, "fail", "oauth2-proxy-client-secret is missing"),
        ({"secrets": {sign_in.CLIENT_SECRET: SECRET | {"size": 0}, sign_in.COOKIE_SECRET: SECRET}}, "fail", "missing"),
        (
            {"secrets": {sign_in.CLIENT_SECRET: SECRET | {"white_space": True}, sign_in.COOKIE_SECRET: SECRET}},
            "fail",
            "such as a newline",
        ),
        (
            {"secrets": {sign_in.CLIENT_SECRET: SECRET, sign_in.COOKIE_SECRET: SECRET | {"size": 33}}},
            "fail",
            "has 33 bytes instead of 32",
        ),
    ],
)
def test_a_problem_of_the_service(changed: Json, state: str, words: str) -> None:
    result = sign_in.service(facts(**changed), "7.15.6")
    assert result.state == state
    assert words in result.value
    assert result.remedy


def test_the_provider_answers() -> None:
    assert sign_in.provider(facts()).value == "https://accounts.google.com answers the VM"


def test_the_provider_is_away() -> None:
    result = sign_in.provider(facts(provider={"error": "no route to host"}))
    assert result.state == "fail"
    assert result.value.startswith("no route to host. New sign-ins at https://accounts.google.com fail now.")
    assert "Signed-in users" in result.value


def test_the_provider_has_other_endpoints() -> None:
    result = sign_in.provider(facts(provider=ENDPOINTS | {"jwks_uri": "https://new.example/keys"}))
    assert (result.state, "jwks_uri is now https://new.example/keys" in result.value) == ("fail", True)
    assert "configure.yml" in result.remedy


def test_facts_that_were_not_collected() -> None:
    assert sign_in.facts_of({}) == {"error": "no facts were collected"}
    assert sign_in.facts_of({"response": {"msg": "unreachable"}}) == {"error": "unreachable"}
    assert sign_in.facts_of({"response": {"facts": {"version": "1"}}}) == {"version": "1"}
    with pytest.raises(NotCheckedError):
        sign_in.service(sign_in.facts_of({}), "7.15.6")


@pytest.fixture
def web() -> Any:
    with responses.RequestsMock() as mock:
        yield mock


def start(web: responses.RequestsMock, status: int = 302, **changed: str) -> Any:
    query = {
        "client_id": "1-a",
        "redirect_uri": f"https://{HOST}/oauth2/callback",
        "code_challenge_method": "S256",
        "nonce": "n",
    }
    location = f"{changed.pop('place', ENDPOINTS['authorization_endpoint'])}?{urlencode(query | changed)}"
    web.get(f"https://{HOST}/oauth2/start", status=status, headers={"Location": location})
    endpoint = Endpoint(host=HOST, address="198.51.100.7", ca_file="", username="admin", password="unused")
    return sign_in.sign_in(endpoint, facts(), HOST)


def test_a_browser_is_sent_to_the_provider(web: responses.RequestsMock) -> None:
    result = start(web)
    assert (result.state, f"redirect URI https://{HOST}/oauth2/callback" in result.value) == ("ok", True)
    assert "Authorization" not in web.calls[0].request.headers


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": 503}, "/oauth2/start answers HTTP 503"),
        ({"place": "https://evil.example/auth"}, "not a redirect to the provider"),
        ({"redirect_uri": "https://old.example/oauth2/callback"}, "the redirect URI is https://old.example"),
        ({"code_challenge_method": "plain"}, "no nonce or no S256"),
        ({"nonce": ""}, "no nonce or no S256"),
    ],
)
def test_a_wrong_way_of_a_browser(web: responses.RequestsMock, changed: dict[str, Any], words: str) -> None:
    result = start(web, **changed)
    assert (result.state, words in result.value) == ("fail", True), result
