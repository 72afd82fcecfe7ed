# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Readiness check of the MLflow server.

/health does not use the database, so this program authenticates and searches experiments. With --artifacts it also
stores, reads and deletes a small artifact. With --smoke it also verifies that a request without a password is refused,
logs a run, finds the run, stores and reads an artifact of the run, and removes the run.
An own application has no credential for this program. Then each check only verifies that the server answers, and
refuses requests without a credential.
Runs as root or inside the service.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .credentials import ADMIN_PASSWORD
from .errors import FailedError
from .settings import server_settings
from .system import Paths

API = "/api/2.0/mlflow"
# Requests that every server must refuse without a credential.
PROTECTED = ("/version", f"{API}/experiments/get?experiment_id=0", f"{API}/experiments/search?max_results=1")
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
# Marks the objects of a smoke test. If the test is killed, the objects remain.
MARK = "mlops.mlflow_gcp smoke test"


class NotReadyError(FailedError):
    """The server is not ready; the message says why."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Server:
    """Client of the server behind a socket, with the credential of one user. Without a name: no credential."""

    def __init__(self, path: str, username: str = "", password: str = "") -> None:
        self._path = path
        self.authenticated = bool(username)
        self._headers = {"Host": "localhost"}
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = UnixConnection(self._path, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotReadyError(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """Return the body of the response; raise NotReadyError unless the request succeeds."""
        headers = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        status, answer = self._exchange(method, path, body, headers)
        if status >= 300:
            text = answer[:300].decode(errors="replace").strip()
            raise NotReadyError(f"{method} {path}: HTTP {status}: {text}")
        return answer

    def call(self, method: str, path: str, **values: Any) -> Any:
        """Send a JSON document and return the JSON document of the response."""
        answer = self.ask(method, path, json.dumps(values).encode() if method != "GET" else None)
        return json.loads(answer or b"{}")

    def must_refuse(self, path: str) -> None:
        """Raise NotReadyError unless a request without a password gets 401."""
        status, _body = self._exchange("GET", path, None, {"Host": "localhost"})
        if status != 401:
            raise NotReadyError(f"GET {path} without a password: HTTP {status} instead of 401")

    def must_not_answer(self, path: str) -> None:
        """Raise an error unless a request without a credential is refused, or redirected to a page for signing in."""
        status, _body = self._exchange("GET", path, None, {"Host": "localhost", "Accept": "application/json"})
        if status < 300:
            raise FailedError(
                f"GET {path} without a credential: HTTP {status}. The application (mlflow_app_name) accepts requests"
                " without authentication. Correct its configuration in mlflow_environment"
            )
        if status >= 400 and status not in (401, 403):
            raise NotReadyError(f"GET {path} without a credential: HTTP {status} instead of 401")


def check(server: Server, *, artifacts: bool) -> None:
    """Raise NotReadyError unless the server answers from its database."""
    server.ask("GET", "/health")
    if not server.authenticated:
        for path in PROTECTED:
            server.must_not_answer(path)
        return
    server.call("POST", f"{API}/experiments/search", max_results=1)
    if artifacts:
        check_artifact(server, f".readiness/{secrets.token_hex(8)}")


def check_artifact(server: Server, path: str) -> None:
    """Store an artifact, read it back, delete it."""
    name, content = f"{ARTIFACTS}/{path}", secrets.token_bytes(64)
    server.ask("PUT", name, content, "application/octet-stream")
    try:
        if server.ask("GET", name) != content:
            raise NotReadyError("an artifact came back different from the stored one")
    finally:
        server.ask("DELETE", name)


def smoke(server: Server) -> None:
    """Run the smoke test; raise NotReadyError at the first failure."""
    server.must_refuse("/version")
    server.must_refuse(f"{API}/experiments/get?experiment_id=0")
    tags = [{"key": "mlops.mlflow_gcp", "value": MARK}]
    name = f"{MARK} {secrets.token_hex(8)}"
    experiment = server.call("POST", f"{API}/experiments/create", name=name, tags=tags)["experiment_id"]
    try:
        now = int(time.time() * 1000)
        new = {"experiment_id": experiment, "run_name": MARK, "start_time": now, "tags": tags}
        run = server.call("POST", f"{API}/runs/create", **new)["run"]["info"]
        metric = {"run_id": run["run_id"], "key": "smoke", "value": 0.5, "timestamp": now, "step": 1}
        server.call("POST", f"{API}/runs/log-metric", **metric)
        found = server.call("POST", f"{API}/runs/search", experiment_ids=[experiment], filter="metrics.smoke = 0.5")
        if [each["info"]["run_id"] for each in found.get("runs", [])] != [run["run_id"]]:
            raise NotReadyError("a logged run is not found by its metric")
        read = server.call("GET", f"{API}/runs/get?run_id={run['run_id']}")["run"]
        if [(each["key"], each["value"]) for each in read["data"].get("metrics", [])] != [("smoke", 0.5)]:
            raise NotReadyError("a metric came back different from the logged one")
        location = urlsplit(run["artifact_uri"])
        if location.scheme != "mlflow-artifacts":
            raise NotReadyError(f"the artifacts of a run are at {run['artifact_uri']}, not served by the server")
        check_artifact(server, f"{location.path.strip('/')}/smoke")
        server.call("POST", f"{API}/runs/delete", run_id=run["run_id"])
    finally:
        server.call("POST", f"{API}/experiments/delete", experiment_id=experiment)


def gone(process: str) -> bool:
    """Return whether the server process has ended; False if its ID is not known."""
    if not process:
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    return False


def read_password(directories: Sequence[str]) -> str:
    """Return the administrator's password from the first credential store that contains one."""
    for directory in directories:
        path = Path(directory) / ADMIN_PASSWORD
        if directory and path.exists():
            return path.read_text(encoding="utf-8").rstrip("\r\n")
    places = ", ".join(filter(None, directories))
    raise FailedError(f"cannot check MLflow: no credential {ADMIN_PASSWORD} in {places}. Run site.yml")


def client(slot: str) -> tuple[Server, dict[str, Any]]:
    """Return a client of the server in a slot and the configuration of the slot. Empty: the active slot."""
    settings = server_settings(Paths(), slot)
    socket_path = f"/run/mlflow-{slot}/mlflow.sock" if slot else str(Paths().link)
    if not settings.get("administrator", True):
        return Server(socket_path), settings
    # Inside the service, its own credentials. As root, the same directories as systemd, in the same order.
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    stores = [own] if own or os.geteuid() != 0 else [str(path) for path in Paths().credentials]
    return Server(socket_path, settings.get("admin_username", "admin"), read_password(stores)), settings


def wait(server: Server, timeout: float, *, artifacts: bool) -> float:
    """Wait until the server is ready; return the seconds of waiting. Raise NotReadyError after `timeout` seconds."""
    start = time.monotonic()
    while True:
        try:
            check(server, artifacts=artifacts)
            return time.monotonic() - start
        except NotReadyError as error:
            # systemd passes the server's process ID to ExecStartPost=.
            if gone(os.environ.get("MAINPID", "")):
                raise NotReadyError("MLflow ended before it was ready. See journalctl -u 'mlflow@*'.") from None
            if time.monotonic() > start + timeout:
                raise NotReadyError(
                    f"MLflow is not ready after {timeout:.0f} s: {error}. See journalctl -u 'mlflow@*'."
                ) from None
        time.sleep(0.5)


def ready(slot: str, timeout: float | None, *, artifacts: bool, with_smoke: bool) -> dict[str, Any]:
    """Check the server in a slot; raise NotReadyError unless it becomes ready."""
    server, settings = client(slot)
    if timeout is None:
        timeout = float(settings.get("start_timeout", 120))
    waited = wait(server, timeout, artifacts=artifacts or with_smoke)
    try:
        # No retries: a server that works only sometimes must not be deployed.
        if with_smoke and server.authenticated:
            smoke(server)
    except (NotReadyError, KeyError, ValueError) as error:
        raise NotReadyError(f"the smoke test failed: {type(error).__name__}: {error}") from None
    return {"ready": True, "seconds": round(waited, 1), "authenticated": server.authenticated}
