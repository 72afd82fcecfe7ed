# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A real MLflow server with the package mlflow_gcp_server, configured by the launcher's functions."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflowctl import launch
from mlflowctl.credentials import FRONT_END_SECRET
from mlflowctl.ready import UnixConnection

ADMIN, ADMIN_PASSWORD = "admin", "password-of-the-admin"
SECRET = "secret-of-the-front-end-0123456789"
JOB_TOKEN = "token-of-mlflow-s-own-jobs"
IDENTITY = {
    "admins": ["boss@example.com"],
    "admin_groups": ["mlflow-admins"],
    "domains": ["example.com"],
    "service_accounts": ["@robots.iam.gserviceaccount.com"],
    "require_hosted_domain": True,
}
BASIC_FUNCTION = "mlflow.server.auth:authenticate_request_basic_auth"
IDENTITY_FUNCTION = "mlflow_gcp_server.identity:authenticate"
ROOT = Path(__file__).parents[3]
START_SECONDS = 300  # with the creation of two databases, on a busy host
Headers = Mapping[str, str]


def password(username: str, text: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{text}".encode()).decode()


def person(address: str, *, groups: str = "", domain: str = "example.com", secret: str = SECRET) -> dict[str, str]:
    """Return the headers of nginx for an identity."""
    return {
        "X-MLflow-Authorization": f"Identity {secret} {address}",
        "X-MLflow-Identity-Groups": groups,
        "X-MLflow-Identity-Domain": domain,
        "X-MLflow-Identity-Method": "cookie",
    }


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A running server. Keeps one connection."""

    folder: Path
    single_sign_on: bool
    pid: int
    _connection: UnixConnection | None = field(default=None, init=False)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def connect(self) -> UnixConnection:
        return UnixConnection(str(self.folder / "mlflow.sock"), timeout=60)

    def ask(self, method: str, path: str, headers: Headers | None = None, body: Any = None) -> Answer:
        """Send a request from a remote client, as nginx does."""
        sent = {"Host": "localhost", "X-Forwarded-For": "192.0.2.7", **(headers or {})}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        for attempt in (1, 2):
            self._connection = self._connection or self.connect()
            try:
                self._connection.request(method, path, body=content, headers=sent)
                response = self._connection.getresponse()
                return Answer(response.status, dict(response.getheaders()), response.read())
            except (http.client.HTTPException, ConnectionError):
                # The server has closed the idle connection.
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        raise AssertionError

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, {"Authorization": password(ADMIN, ADMIN_PASSWORD)}, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def audit(self) -> list[dict[str, Any]]:
        """Return the lines of the audit log."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith('{"event": "authentication"')]


def write_configuration(folder: Path, *, single_sign_on: bool, **changes: Any) -> dict[str, str]:
    """Write the private files as the launcher does, and return the environment of the server."""
    settings = {
        "admin_username": ADMIN,
        "app_name": "basic-auth",
        "artifacts_destination": str(folder / "artifacts"),
        "auth_cache_ttl_seconds": 60,
        "authorization_function": IDENTITY_FUNCTION if single_sign_on else BASIC_FUNCTION,
        "default_permission": "NO_PERMISSIONS",
        "identity": IDENTITY if single_sign_on else None,
        "threads": 10,
    } | changes
    users = f"sqlite:///{folder}/users.db"
    (folder / "auth.ini").write_text(launch.auth_configuration(users, ADMIN_PASSWORD, settings))
    (folder / "package.json").write_text(launch.package_settings(settings, {FRONT_END_SECRET: SECRET}))
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{launch.SERVER_MODULES}:{ROOT}",
        "PYTHONUNBUFFERED": "1",
        "FORWARDED_ALLOW_IPS": "*",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_GCP_SERVER_SETTINGS": str(folder / "package.json"),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH": "true",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "key-of-the-test",
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": "passphrase-of-the-test",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow would fetch its list of models.
        "MLFLOW_MODEL_CATALOG_URI": "",
        # What `mlflow server` sets for its worker processes.
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN": JOB_TOKEN,
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/runs.db",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    }


@contextmanager
def served(
    folder: Path,
    *,
    single_sign_on: bool,
    factory: str = "mlflow_gcp_server.app:create_app",
    settings: Mapping[str, Any] | None = None,
    **changes: str,
) -> Iterator[Served]:
    """Run a server on a socket in an empty directory, with more settings and environment variables."""
    environment = write_configuration(folder, single_sign_on=single_sign_on, **(settings or {}))
    command = [sys.executable, "-m", "uvicorn", "--factory", factory]
    command += [f"--uds={folder / 'mlflow.sock'}", "--timeout-graceful-shutdown=1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment | changes, stdout=log, stderr=log)
    server = Served(folder, single_sign_on, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _wait(server: Served, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if server.ask("GET", "/health").status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"MLflow does not answer:\n{server.log}")
