# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The client for MLflow's users and roles: credentials, retries, errors and their remedies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _mlflow_client, _mlflow_module
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflow_client import MlflowClient, MlflowError, bearer
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_user

from tests.unit.harness import FakeClock, Json
from tests.unit.mlflow_server import ADMIN, URI, V2, V3, MlflowScript, PlayMlflow, basic

PATH = f"{V2}/users/get"
ALICE = {"query": {"username": "alice"}}
USER = {"user": {"id": 7, "username": "alice", "is_admin": False}}
HASH = "scrypt:32768:8:1$salt$0123456789abcdef"


@pytest.fixture
def client() -> MlflowClient:
    credentials = _mlflow_client.basic("admin", "password-of-the-admin")
    return MlflowClient(URI + "/", credentials, timeout=120, rand=lambda: 1.0)


def read(client: MlflowClient) -> Json:
    return client.get(PATH, username="alice")


def error(client: MlflowClient) -> MlflowError:
    with pytest.raises(MlflowError) as raised:
        read(client)
    return raised.value


def message(play_mlflow: PlayMlflow, **options: object) -> str:
    return str(play_mlflow(mlflow_user, fails=True, name="alice", **options)["msg"])


# --- Credentials


def test_credentials_are_sent_as_utf8(mlflow: MlflowScript, client: MlflowClient) -> None:
    client.credentials = _mlflow_client.basic("jürgen", "pässwörd: with colon")
    mlflow.expect("GET", PATH, USER, **ALICE, authorization=basic("jürgen", "pässwörd: with colon"))
    assert read(client) == USER


def test_a_token(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.expect("GET", PATH, USER, **ALICE, authorization="Bearer the-token")
    assert not play_mlflow(mlflow_user, name="alice", tracking_username=None, tracking_token="the-token", **NOTHING)[
        "changed"
    ]


NOTHING = {"tracking_password": None}


def test_a_netrc_file_does_not_replace_the_credentials(
    mlflow: MlflowScript, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Requests prefers the file to a header of the session."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine mlflow.test login mallory password of-mallory\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client.credentials = bearer("the-token")
    mlflow.expect("GET", PATH, USER, **ALICE, authorization="Bearer the-token")
    assert read(client) == USER


@pytest.mark.parametrize(
    ("options", "verify"),
    [
        ({}, "/bundle.pem"),
        ({"ca_path": "/ca.pem"}, "/ca.pem"),
        ({"validate_certs": False}, False),
        ({"ca_path": "/ca.pem", "validate_certs": False}, False),
    ],
)
def test_the_certificate_authorities(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], verify: str | bool
) -> None:
    """ca_path has precedence over REQUESTS_CA_BUNDLE, which requests prefers to the setting of a session."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/bundle.pem")
    params = {
        "tracking_uri": URI,
        "tracking_username": "admin",
        "tracking_password": "x",
        "tracking_token": None,
        "workspace": "default",
    }
    client = _mlflow_module.connect(params | {"ca_path": None, "validate_certs": True, "timeout": 5} | options)
    used = client.session.merge_environment_settings(URI, {}, None, client.verify, None)
    assert used["verify"] == verify


def test_the_credentials_of_the_environment(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "robot")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "password-of-the-robot")
    mlflow.expect("GET", PATH, USER, **ALICE, authorization=basic("robot", "password-of-the-robot"))
    result = play_mlflow(mlflow_user, name="alice", tracking_uri=None, tracking_username=None, **NOTHING)
    assert "password-of-the-robot" not in json.dumps(result)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://admin:s3cret@mlflow.test", "tracking_uri (https://…@mlflow.test) must not contain a user."),
        ("mlflow.test", "tracking_uri (mlflow.test) must be an address such as https://mlflow.example.com."),
        ("databricks", "must be an address"),
        ("https://mlflow.test/#/experiments/1", "must be an address"),
        ("", "tracking_uri must not be empty."),
    ],
)
def test_a_wrong_address_is_refused(play_mlflow: PlayMlflow, uri: str, message: str) -> None:
    result = play_mlflow(mlflow_user, fails=True, name="alice", tracking_uri=uri)
    assert message in result["msg"]
    assert "s3cret" not in result["msg"]


# --- Retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_unavailable_server_is_asked_again(
    mlflow: MlflowScript, client: MlflowClient, clock: FakeClock, status: int
) -> None:
    for _ in range(6):
        mlflow.expect("GET", PATH, "busy", status=status, **ALICE)
    mlflow.expect("GET", PATH, USER, **ALICE)
    assert read(client) == USER
    assert clock.sleeps == [1, 2, 4, 8, 8, 8]


def test_retry_after_is_respected(mlflow: MlflowScript, client: MlflowClient, clock: FakeClock) -> None:
    mlflow.expect("GET", PATH, "wait", status=429, headers={"Retry-After": "20"}, **ALICE)
    mlflow.expect("GET", PATH, USER, **ALICE)
    read(client)
    assert clock.sleeps == [20]


def test_the_time_limit_ends_the_attempts(mlflow: MlflowScript, client: MlflowClient, clock: FakeClock) -> None:
    client.deadline = client.deadline.after(clock, 10)
    for _ in range(4):
        mlflow.expect("GET", PATH, "busy", status=503, **ALICE)
    assert error(client).code == 503
    assert clock.sleeps == [1, 2, 4]


@pytest.mark.parametrize("failure", [requests.ConnectionError("refused"), requests.Timeout("slow")])
def test_a_wrong_address_is_reported_after_four_attempts(
    mlflow: MlflowScript, client: MlflowClient, clock: FakeClock, failure: Exception
) -> None:
    for _ in range(4):
        mlflow.expect("GET", PATH, failure, **ALICE)
    assert error(client).reason == "connection"
    assert clock.sleeps == [1, 2, 4]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_other_errors_are_not_repeated(mlflow: MlflowScript, client: MlflowClient, status: int) -> None:
    mlflow.expect("GET", PATH, "no", status=status, **ALICE)
    assert error(client).code == status


# --- Errors


def test_the_message_is_mlflows(mlflow: MlflowScript, client: MlflowClient) -> None:
    mlflow.fails("GET", PATH, 400, "INVALID_PARAMETER_VALUE", "Password must be at least 12 characters.", **ALICE)
    expected = "Password must be at least 12 characters. (HTTP 400, INVALID_PARAMETER_VALUE)"
    assert str(error(client)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "User (username=alice) already exists. Error: (sqlite3.IntegrityError) UNIQUE constraint failed: users.username"
        f"\n[SQL: INSERT INTO users (username, password_hash) VALUES (?, ?)]\n[parameters: ('alice', '{HASH}')]",
        "User (username=alice) already exists. Error: (psycopg2.errors.UniqueViolation) duplicate key"
        f"\n[SQL: INSERT INTO users]\n[parameters: {{'password_hash': '{HASH}'}}]",
        f"User (username=alice) already exists.\n[SQL: INSERT INTO users]\n[parameters: ('{HASH}',)]",
    ],
)
def test_the_hash_of_a_password_is_not_shown(mlflow: MlflowScript, client: MlflowClient, text: str) -> None:
    """MLflow's answer quotes the SQL statement with its parameters."""
    mlflow.fails("GET", PATH, 400, "RESOURCE_ALREADY_EXISTS", text, **ALICE)
    found = error(client)
    assert str(found) == "User (username=alice) already exists. (HTTP 400, RESOURCE_ALREADY_EXISTS)"
    assert found.code == 409


def test_a_missing_route_is_not_a_missing_user(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    """A server without authentication answers 404 to these routes. It must not look like a server without users."""
    mlflow.expect(
        "GET",
        PATH,
        "<!doctype html>\n<title>404 Not Found</title>\n<h1>Not Found</h1><p>Check it.</p>",
        status=404,
        **ALICE,
    )
    text = message(play_mlflow, state="absent")
    assert text.startswith("Cannot read user alice of https://mlflow.test: Not Found Check it. (HTTP 404) ")
    assert "--app-name basic-auth" in text


@pytest.mark.parametrize(
    ("status", "answer", "remedy"),
    [
        (401, "You are not authenticated.", "Check tracking_username and tracking_password, or tracking_token."),
        (403, "Permission denied", "must be an administrator (is_admin) of MLflow."),
        (403, "Invalid Host header - possible DNS rebinding attack detected", "to the server's --allowed-hosts."),
        (405, "Method Not Allowed", "without a path of the API"),
        (200, "<html>Welcome</html>", "is the address of an MLflow server."),
        (200, "[]", "is the address of an MLflow server."),
    ],
)
def test_an_error_has_a_remedy(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, status: int, answer: str, remedy: str
) -> None:
    mlflow.expect("GET", PATH, answer, status=status, **ALICE)
    text = message(play_mlflow)
    assert answer in text
    assert text.endswith(remedy) or remedy in text


def test_a_redirect_is_not_followed(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    """A login page would be read as an answer, and the password would be sent to another address."""
    where = "https://login.test/start"
    mlflow.expect("GET", PATH, "", status=302, headers={"Location": f"{where}?state=token"}, **ALICE)
    text = message(play_mlflow)
    assert f"the server redirects to {where} (HTTP 302, redirect) Set tracking_uri to the final address" in text


def test_an_unknown_certificate_is_not_asked_again(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.expect("GET", PATH, requests.exceptions.SSLError("self-signed certificate"), **ALICE)
    text = message(play_mlflow)
    assert "self-signed certificate (tls) Set ca_path to the CA certificate of the server." in text


def test_a_missing_file_of_certificates(play_mlflow: PlayMlflow) -> None:
    text = message(play_mlflow, ca_path="/missing/ca.pem")
    assert "invalid path: /missing/ca.pem (tls) Set ca_path to the CA certificate of the server." in text


def test_a_server_without_workspaces(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    answer = {"error_code": "FEATURE_DISABLED", "message": "workspaces are not enabled on this server"}
    mlflow.expect("GET", f"{V3}/workspaces/team", answer, status=400, workspace="team")
    assert "Remove the option workspace" in message(play_mlflow, workspace="team")


def test_a_user_is_not_absent_because_the_workspace_is_missing(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    """MLflow has one error code for both."""
    text = "Workspace 'a/b' not found"
    mlflow.fails("GET", f"{V3}/workspaces/a%2Fb", 404, "RESOURCE_DOES_NOT_EXIST", text, workspace="a/b")
    assert text in message(play_mlflow, workspace="a/b", state="absent")


def test_an_empty_workspace_is_refused(play_mlflow: PlayMlflow) -> None:
    assert message(play_mlflow, workspace="") == "workspace must not be empty."


def test_a_fault_of_the_server(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    for _ in range(4):
        mlflow.fails("GET", PATH, 500, "INTERNAL_ERROR", "database is locked", **ALICE)
    text = message(play_mlflow)
    assert "database is locked (HTTP 500, INTERNAL_ERROR) The server is overloaded or has a fault." in text


def test_a_user_without_password(play_mlflow: PlayMlflow) -> None:
    text = message(play_mlflow, tracking_username=ADMIN, tracking_password=None)
    assert "parameters are required together: tracking_username, tracking_password" in text


def test_no_credentials(play_mlflow: PlayMlflow) -> None:
    text = message(play_mlflow, tracking_username=None, tracking_password=None)
    assert "one of the following is required: tracking_username, tracking_token" in text


def test_a_missing_library(play_mlflow: PlayMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mlflow_module, "IMPORT_ERROR", "ImportError: requests")
    assert "(requests)" in message(play_mlflow)
