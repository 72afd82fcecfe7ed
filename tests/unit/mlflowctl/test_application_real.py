# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An own application with the real packages: mlflow-oidc-auth beside MLflow, in a virtual environment of its own.

The installation takes 3 seconds with the cache of uv, the start of the server 10 to 20 seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._requirements import merge, problem
from mlflowctl import launch, ready
from mlflowctl.errors import FailedError

from .oidc_provider import CLIENT, SECRET, Provider, provider

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "roles" / "mlflow" / "files" / "requirements-3.17.2.txt"
EXTRA = Path(__file__).parent / "files" / "mlflow-oidc-auth.txt"
APPLICATION = "oidc-auth"
SEARCH = "/ajax-api/2.0/mlflow/experiments/search?max_results=1"
SETTINGS: dict[str, Any] = {
    "administrator": False,
    "app_name": APPLICATION,
    "artifacts_destination": "",
    "graceful_shutdown_timeout": 5,
    "workers": 2,
    "secret_environment": {
        "OIDC_CLIENT_SECRET": "mlflow.environment-oidc-client-secret",
        "SECRET_KEY": "mlflow.environment-secret-key",
    },
}
START_SECONDS = 300  # on a busy host
# One of its dataclasses has a default that is hashable since 3.12. The unit tests also run in a container of Debian 13.
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.version_info < (3, 12), reason="mlflow-oidc-auth 11.0.2 needs Python 3.12"),
]


@dataclass
class Server:
    """A running server."""

    socket: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> httpx.Client:
        """Return a new browser."""
        return httpx.Client(transport=httpx.HTTPTransport(uds=self.socket), base_url="http://localhost", timeout=60)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Python of a release with the additional packages."""
    folder = tmp_path_factory.mktemp("release")
    extra = EXTRA.read_text(encoding="utf-8")
    assert problem(extra) == ""
    (folder / "packages.txt").write_text(merge(SHIPPED.read_text(encoding="utf-8"), extra), encoding="utf-8")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "uv"
    found = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    install = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(folder / "packages.txt")]
    subprocess.run([uv, "pip", "install", "--quiet", "--system-certs", "--python", str(found), *install], check=True)
    subprocess.run([uv, "pip", "check", "--quiet", "--python", str(found)], check=True)
    return str(found)


@pytest.fixture(scope="module")
def identities() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def server(python: str, identities: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the application as the launcher does, except for the database: a file."""
    folder = tmp_path_factory.mktemp("application")
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "mlflow.environment-oidc-client-secret").write_text(f"{SECRET}\n")
    (credentials / "mlflow.environment-secret-key").write_text("key-of-the-sessions")
    # The path of a Unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="mlflow") as runtime:
        settings = SETTINGS | {"artifacts_destination": str(folder / "artifacts")}
        environment = os.environ | {
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/runs.db",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OIDC_USERS_DB_URI": f"sqlite:///{folder}/application.db",
            "OIDC_DISCOVERY_URL": f"{identities.issuer}/.well-known/openid-configuration",
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_REDIRECT_URI": "http://localhost/callback",
            "OIDC_GROUP_NAME": "mlflow",
            "SESSION_COOKIE_SECURE": "false",
            **launch.secret_environment(credentials, settings),
        }
        command = [python, "-m", "mlflow", *launch.server_arguments(settings, Path(runtime), 3)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield Server(f"{runtime}/mlflow.sock", process, folder / "log")
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


@pytest.fixture
def started(server: Server) -> Server:
    """Return the server after the readiness check of an own application has passed."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            ready.check(ready.Server(server.socket), artifacts=True)
            return server
        except ready.NotReadyError as error:
            if server.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{error}\n{server.log.read_text()}")
        time.sleep(0.5)


def test_the_application_refuses_requests_without_a_valid_credential(started: Server) -> None:
    with started.client() as client:
        assert client.get(SEARCH).status_code == 401
        assert client.get("/version", headers={"Accept": "application/json"}).status_code == 401
        assert client.get(SEARCH, headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.get(SEARCH, auth=("admin", "password")).status_code == 401
        assert client.get("/", headers={"Accept": "text/html", "Sec-Fetch-Dest": "document"}).status_code == 302


def test_a_user_of_the_provider_is_accepted(started: Server) -> None:
    with started.client() as browser:
        address = browser.get("/login").headers["location"]
        with httpx.Client() as outside:
            callback = httpx.URL(outside.get(address).headers["location"])
        answer = browser.get(callback.raw_path.decode())
        assert answer.status_code == 302, answer.text
        assert browser.get(SEARCH).status_code == 200
        assert browser.get("/version").status_code == 200


def test_a_user_without_the_group_is_refused(started: Server, identities: Provider) -> None:
    identities.groups, identities.email = ["others"], "bob@example.com"
    with started.client() as browser:
        address = browser.get("/login").headers["location"]
        with httpx.Client() as outside:
            callback = httpx.URL(outside.get(address).headers["location"])
        browser.get(callback.raw_path.decode())
        assert browser.get(SEARCH).status_code == 401


def test_the_secrets_are_neither_arguments_nor_in_the_log(started: Server) -> None:
    told = started.log.read_text() + Path(f"/proc/{started.process.pid}/cmdline").read_text()
    assert SECRET not in told
    assert "key-of-the-sessions" not in told


def test_the_release_has_the_application_and_no_other(python: str) -> None:
    """The launcher refuses a missing application before MLflow starts."""
    code = "from mlflowctl import launch, errors; import sys\nlaunch.require_application(sys.argv[1])"
    where = {"PYTHONPATH": str(ROOT / "roles" / "mlflowctl" / "files"), "PATH": os.environ["PATH"]}

    def asked(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, "-c", code, name], env=where, capture_output=True, text=True, check=False)

    assert asked(APPLICATION).returncode == 0
    missing = asked("oidc")
    assert "no package of the release has the application oidc (mlflow_app_name)" in missing.stderr
    assert "basic-auth, oidc-auth" in missing.stderr
    assert "mlflow_extra_requirements_file" in missing.stderr


def test_an_application_that_answers_everybody_is_not_ready() -> None:
    """A plain MLflow without authentication: the check ends at once instead of at its time limit."""

    class Open(ready.Server):
        def _exchange(self, *_: object) -> tuple[int, bytes]:
            return 200, b"{}"

    with pytest.raises(FailedError, match=r"GET /version without a credential: HTTP 200.*accepts requests") as error:
        ready.wait(Open("/nowhere"), 60, artifacts=False)
    assert not isinstance(error.value, ready.NotReadyError)
