# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The smoke test against a server on a Unix socket with one fault at a time."""

from __future__ import annotations

import base64
import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from mlflowctl import cli, ready
from mlflowctl.errors import FailedError
from mlflowctl.system import Paths

API = "/api/2.0/mlflow"


class FakeServer(socketserver.ThreadingUnixStreamServer):
    """The routes of MLflow that the smoke test uses."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.wrong: set[str] = set()
        self.artifacts: dict[str, bytes] = {}
        self.experiments: dict[str, str] = {}
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: FakeServer

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, server = self.path, self.server
        server.asked.append(f"{self.command} {path}")
        if path == "/health":
            return self._answer(200, b"OK")
        if "Authorization" not in self.headers and "open" not in server.wrong:
            return self._answer(401, b"")
        if "/mlflow-artifacts/" in path:
            return self._artifact(path, body)
        document = self._mlflow(path, json.loads(body) if body else {})
        return self._answer(200, json.dumps(document).encode())

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _artifact(self, path: str, body: bytes) -> None:
        if "artifacts" in self.server.wrong and "/artifacts/7/" in path:
            return self._answer(500, b"no bucket")
        if self.command == "PUT":
            self.server.artifacts[path] = body
        elif self.command == "DELETE":
            self.server.artifacts.pop(path)
            return self._answer(200, b"")
        return self._answer(200, self.server.artifacts[path])

    def _mlflow(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        server = self.server
        if path == f"{API}/experiments/create":
            server.experiments["7"] = given["name"]
            return {"experiment_id": "7"}
        if path == f"{API}/experiments/delete":
            del server.experiments[given["experiment_id"]]
        if path == f"{API}/runs/create":
            return {"run": {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/7/r/artifacts"}}}
        if path == f"{API}/runs/search":
            return {} if "search" in server.wrong else {"runs": [{"info": {"run_id": "r"}}]}
        if path.startswith(f"{API}/runs/get"):
            value = 0.25 if "metric" in server.wrong else 0.5
            info = {"run_id": "r", "artifact_uri": "mlflow-artifacts:/7/r/artifacts"}
            return {"run": {"info": info, "data": {"metrics": [{"key": "smoke", "value": value}]}}}
        return {}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    # The path of a Unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="ready") as directory, FakeServer(f"{directory}/s") as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    client = ready.Server(str(server.server_address), "admin", "secret-secret")
    monkeypatch.setattr(ready, "client", lambda _: (client, {}))
    return cli.main(["ready", "--timeout", "0", *more])


def test_smoke_test_removes_its_objects(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(server, monkeypatch, "--smoke") == 0
    assert (server.artifacts, server.experiments) == ({}, {})
    assert f"POST {API}/runs/delete" in server.asked
    assert "PUT /api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/smoke" in server.asked


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("open", "without a password: HTTP 200 instead of 401"),
        ("search", "not found by its metric"),
        ("metric", "came back different"),
        ("artifacts", "HTTP 500: no bucket"),
    ],
)
def test_smoke_test_finds_a_fault(
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
    message: str,
) -> None:
    server.wrong.add(wrong)
    assert run(server, monkeypatch) == 0, "the readiness check succeeds"
    assert run(server, monkeypatch, "--smoke") == 1
    assert message in capsys.readouterr().err
    assert server.experiments == {}, "the experiment is removed after a failure, too"


def test_the_configuration_of_a_slot_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = tmp_path / "opt" / "mlflow" / "slots" / "green"
    slot.mkdir(parents=True)
    (slot / "server.json").write_text('{"admin_username": "ada", "start_timeout": 30}')
    (tmp_path / "mlflow.admin-password").write_text("secret-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(ready, "Paths", lambda: Paths(tmp_path))
    server, settings = ready.client("green")
    assert (server._path, settings["start_timeout"]) == ("/run/mlflow-green/mlflow.sock", 30)
    token = base64.b64encode(b"ada:secret-secret").decode()
    assert server._headers["Authorization"] == f"Basic {token}"


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ready.Server:
    """Return the client of a slot with an own application. No credential exists."""
    slot = tmp_path / "opt" / "mlflow" / "slots" / "green"
    slot.mkdir(parents=True)
    (slot / "server.json").write_text('{"administrator": false, "start_timeout": 30}')
    monkeypatch.setattr(ready, "Paths", lambda: Paths(tmp_path))
    return ready.client("green")[0]


def test_an_own_application_is_checked_without_a_credential(application: ready.Server, server: FakeServer) -> None:
    application._path = str(server.server_address)
    ready.check(application, artifacts=True)
    assert "Authorization" not in application._headers
    assert server.asked == ["GET /health", *(f"GET {path}" for path in ready.PROTECTED)]


def test_an_own_application_that_accepts_everybody_is_refused(application: ready.Server, server: FakeServer) -> None:
    """At once: another attempt would not change the answer."""
    application._path = str(server.server_address)
    server.wrong.add("open")
    with pytest.raises(FailedError, match="accepts requests without authentication") as error:
        ready.wait(application, 60, artifacts=False)
    assert not isinstance(error.value, ready.NotReadyError)


@pytest.mark.parametrize(("status", "refused"), [(302, True), (403, True), (500, False), (404, False)])
def test_an_own_application_may_redirect_to_a_page_for_signing_in(
    monkeypatch: pytest.MonkeyPatch, status: int, refused: bool
) -> None:
    server = ready.Server("/nowhere")
    monkeypatch.setattr(server, "_exchange", lambda *_: (status, b""))
    if refused:
        server.must_not_answer("/version")
        return
    with pytest.raises(ready.NotReadyError, match=f"HTTP {status} instead of 401"):
        server.must_not_answer("/version")
