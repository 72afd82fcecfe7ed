# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""State after a restart and after a kill -9."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import google.auth.transport.requests
import requests
from google.oauth2 import service_account

from localcloud.framework.cloud import Work, step
from tests.localcloud.harness import PLATFORM, Local

SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
AUTOMATIC = {"replication": {"automatic": {}}}
REPOSITORY = pathlib.Path(__file__).parents[2]


def test_a_restart_keeps_state_and_tokens(local: Local) -> None:
    session = local.session()
    session.call("POST", f"{SECRETS}?secretId=kept", json=AUTOMATIC)
    token = session.http.credentials.token
    key_file = (local.home / "credentials.json").read_text()
    local.restart()
    response = requests.get(f"{local.url}{SECRETS}/kept", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert response.status_code == 200
    assert (local.home / "credentials.json").read_text() == key_file
    assert stat.S_IMODE((local.home / "credentials.json").stat().st_mode) == 0o600


def test_a_rolled_back_transaction_starts_nothing(local: Local) -> None:
    ran: list[str] = []

    @step("test.never")
    def never(work: Work) -> None:
        ran.append(work.operation["name"])

    try:
        with local.cloud.store.transaction():
            local.cloud.operations.start("test.never", service="test", project="p", verb="x", target="t")
            raise RuntimeError
    except RuntimeError:
        pass
    time.sleep(0.2)
    assert ran == []
    assert local.cloud.operations.list("test") == []


def test_an_interrupted_operation_goes_on_after_a_restart(local: Local) -> None:
    ran: list[bool] = []

    @step("test.slow")
    def slow(work: Work) -> dict[str, int]:
        ran.append(True)
        return {"n": work.args["n"]}

    local.cloud.profiles.change({"latency": "google"})
    options = {"service": "test", "project": "p", "verb": "x", "target": "t", "method": "sql.instances.insert"}
    name = local.cloud.operations.start("test.slow", {"n": 3}, **options)["name"]  # type: ignore[arg-type]
    waited = local.cloud.operations.wait(name, 0.2)
    assert waited is not None
    assert waited["status"] != "DONE"
    local.cloud.profiles.change({"name": "none"})  # the profile survives the restart, too
    local.restart()
    done = local.cloud.operations.wait(name, 10)
    assert done is not None
    assert (done["status"], done["response"], ran) == ("DONE", {"n": 3}, [True])


@contextmanager
def serving(home: pathlib.Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m localcloud serve` in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "localcloud",
        "serve",
        "--engine",
        "fake",
        "--home",
        str(home),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        for _ in range(300):
            try:
                if requests.get(f"http://127.0.0.1:{port}/localcloud/health", timeout=1).ok:
                    break
            except requests.ConnectionError:
                assert process.poll() is None
                time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


def test_kill_9_keeps_every_answered_write_and_operations_go_on(tmp_path: pathlib.Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home = tmp_path / "home"
    with serving(home, port) as process:
        credentials = service_account.Credentials.from_service_account_file(
            str(home / "credentials.json"), scopes=[PLATFORM]
        )
        session = google.auth.transport.requests.AuthorizedSession(credentials)
        path = f"{url}/serviceusage/v1/projects/mlflow-local/services/secretmanager.googleapis.com"
        operation = session.post(f"{path}:enable", json={}).json()
        while not operation.get("done"):
            operation = session.get(f"{url}/serviceusage/v1/{operation['name']}").json()
        for n in range(20):
            assert session.post(f"{url}{SECRETS}?secretId=s{n}", json=AUTOMATIC).status_code == 200
        # One operation is interrupted: it would take minutes more.
        session.put(f"{url}/localcloud/profile", json={"latency": "google", "scale": 60})
        path = f"{url}/serviceusage/v1/projects/mlflow-local/services/run.googleapis.com"
        operation = session.post(f"{path}:enable", json={}).json()
        assert "done" not in operation
        session.put(f"{url}/localcloud/profile", json={"name": "none"})
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with serving(home, port):
        # The same token is valid, too.
        assert session.get(f"{url}{SECRETS}?pageSize=100").json()["totalSize"] == 20
        assert credentials.valid
        while not operation.get("done"):
            time.sleep(0.05)
            operation = session.get(f"{url}/serviceusage/v1/{operation['name']}").json()
        assert session.get(path).json()["state"] == "ENABLED"
