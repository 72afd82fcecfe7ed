# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""OAuth clients: the rules of Google's console for their URIs, their files, and the clients that gcloud has."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2 import credentials, id_token

from localcloud.access.oauth_clients import GCLOUD_CLIENT
from localcloud.access.redirect_uris import is_loopback, origin_problem, redirect_problem
from tests.localcloud.harness import Local
from tests.localcloud.sign_in import CALLBACK, ORIGIN, Client, Person, session

PUBLIC = "must end with a public top-level domain"


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK,
        f"{ORIGIN}:8443/oauth2/callback",
        f"{CALLBACK}?tenant=a%20b",
        "http://localhost:8080/callback",
        "http://localhost",
        "http://127.0.0.1:5000/",
        "http://[::1]:5000/",
        "https://localhost/",
    ],
)
def test_accepted_redirect_uris(uri: str) -> None:
    assert redirect_problem(uri) is None


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("http://mlflow.example.com/callback", "must use https"),
        ("https://198.51.100.7/oauth2/callback", PUBLIC),
        ("https://[2001:db8::1]/callback", PUBLIC),
        ("https://127.0.0.2/callback", PUBLIC),
        ("https://3232235777/callback", PUBLIC),
        ("https://mlflow/callback", PUBLIC),
        ("https://mlflow.internal/callback", PUBLIC),
        ("https://mlflow.test./callback", PUBLIC),
        ("https://x.googleusercontent.com/", "googleusercontent.com"),
        ("https://user@mlflow.example.com/", "user information"),
        ("https://*.example.com/", "wildcards"),
        ("https://mlflow.example.com/a b", "spaces"),
        ("https://mlflow.éxample.com/", "characters outside of ASCII"),
        ("https://mlflow.example.com/a/../b", "relative path"),
        ("https://mlflow.example.com/a/%2e%2E", "relative path"),
        ("https://mlflow.example.com/a\\b", "relative path"),
        ("https://mlflow.example.com/%zz", "percent encoding"),
        ("https://mlflow.example.com/#x", "fragment"),
        ("https://mlflow.example.com/#", "fragment"),
        ("https://mlflow.example.com:port/", "absolute URL"),
        ("com.example.app:/callback", "absolute URL"),
        ("ftp://mlflow.example.com/", "http or https"),
        ("", "absolute URL"),
    ],
)
def test_refused_redirect_uris(local: Local, uri: str, problem: str) -> None:
    assert problem in (redirect_problem(uri) or "")
    body = {"redirect_uris": [CALLBACK, uri]}
    answer = requests.put(f"{local.url}/localcloud/clients/x", json=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"Invalid Redirect: {uri}: ")
    assert local.cloud.oauth_clients.list() == []


def test_origins() -> None:
    for origin in (ORIGIN, f"{ORIGIN}:8443", "http://localhost:8080"):
        assert origin_problem(origin) is None
    assert origin_problem(f"{ORIGIN}/") == 'URIs must not contain a path or end with "/"'
    assert PUBLIC in (origin_problem("https://198.51.100.7") or "")
    assert "must use https" in (origin_problem("http://mlflow.example.com") or "")


@pytest.mark.parametrize(
    ("uri", "accepted"),
    [
        ("http://localhost:8085/", True),
        ("http://127.0.0.1:40001/", True),
        ("http://[::1]:1/x", True),
        ("https://localhost:8085/", False),
        ("http://localhost.example.com:8085/", False),
        ("http://127.0.0.1@example.com/", False),
        ("http://user@localhost/", False),
        ("urn:ietf:wg:oauth:2.0:oob", False),
    ],
)
def test_redirect_uris_of_desktop_clients(local: Local, uri: str, accepted: bool) -> None:
    assert is_loopback(uri) == accepted
    client = Client.register(local, type="desktop", redirect_uris=[], javascript_origins=[])
    assert Person(local).get(client.url(redirect_uri=uri)).status_code == (200 if accepted else 400)


def test_a_registered_client_keeps_its_secret(local: Local) -> None:
    first = Client.register(local)
    again = Client.register(local, redirect_uris=[CALLBACK, "http://localhost:1/"])
    assert (again.id, again.secret) == (first.id, first.secret)
    assert Client.register(local, "other").id != first.id
    local.restart()
    first = Client.register(local)
    assert (again.id, again.secret) == (first.id, first.secret)
    assert first.id.startswith("100000000001-")
    assert first.id.endswith(".apps.googleusercontent.com")
    shown = local.session().call("GET", "/localcloud/clients")
    assert [client["name"] for client in shown["clients"]] == ["mlflow", "other"]
    assert first.secret not in str(shown)


def test_the_files_are_those_of_the_console(local: Local) -> None:
    web = local.cloud.oauth_clients.register("web", "web", [CALLBACK], [ORIGIN]).file["web"]
    assert (web["redirect_uris"], web["javascript_origins"]) == ([CALLBACK], [ORIGIN])
    desktop = local.cloud.oauth_clients.register("desktop", "desktop").file["installed"]
    assert desktop["redirect_uris"] == ["http://localhost"]
    for file in (web, desktop):
        assert file["token_uri"] == "https://oauth2.googleapis.com/token"
        assert file["client_secret"].startswith("GOCSPX-")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "ios"}, "type is 'ios'. It is one of web, desktop"),
        ({"type": "desktop", "redirect_uris": [CALLBACK]}, "has no redirect_uris"),
        ({"redirect_uris": CALLBACK}, "redirect_uris is a list of URIs"),
        ({"redirect_uris": [1]}, "redirect_uris is a list of URIs"),
        ({"javascript_origins": [f"{ORIGIN}/x"]}, f"Invalid Origin: {ORIGIN}/x: "),
        ({"secret": "s"}, "unexpected keyword argument 'secret'"),
    ],
)
def test_refused_clients(local: Local, body: dict[str, Any], message: str) -> None:
    answer = requests.put(f"{local.url}/localcloud/clients/x", json=body, timeout=10)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_a_client_does_not_change_its_type(local: Local) -> None:
    Client.register(local)
    answer = requests.put(f"{local.url}/localcloud/clients/mlflow", json={"type": "desktop"}, timeout=10)
    assert "has the type web. Remove it first" in answer.json()["error"]


def test_a_removed_client(local: Local) -> None:
    client = Client.register(local)
    token = client.exchange(client.code(access_type="offline")).json()["refresh_token"]
    url = f"{local.url}/localcloud/clients/mlflow"
    assert requests.delete(url, timeout=10).status_code == 200
    assert requests.delete(url, timeout=10).json() == {"error": "there is no OAuth client mlflow"}
    assert client.refresh(token).json()["error"] == "invalid_client"
    assert Person(local).get(client.url()).status_code == 401


def test_the_client_of_gcloud(local: Local) -> None:
    """gcloud auth print-identity-token of a person: the audience is gcloud's own client."""
    login = {"email": "ada@example.com", "client_id": GCLOUD_CLIENT}
    file = local.session().call("POST", "/localcloud/logins", json=login)
    found = credentials.Credentials.from_authorized_user_info(file)
    found.refresh(Request(session(local)))
    claims = id_token.verify_oauth2_token(found.id_token, Request(session(local)), GCLOUD_CLIENT)
    assert (claims["azp"], claims["email"], claims["hd"]) == (GCLOUD_CLIENT, "ada@example.com", "example.com")
    unknown = {"email": "ada@example.com", "client_id": "1-x.apps.googleusercontent.com"}
    assert "there is no OAuth client" in local.session().call("POST", "/localcloud/logins", 400, json=unknown)["error"]
