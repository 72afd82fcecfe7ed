# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A playbook that is killed, or that the cloud treats badly, converges when it is run again.

The whole of playbooks/provision.yml against a local cloud in this process, with an engine in memory. Killed means
SIGKILL to everything that the run started, at the moment when the cloud has done what a call asked for and before the
answer is on its way: the worst one. What a run lost so is there for the next run to find, so that one project, killed
again and again, goes through every state that a kill can leave behind. `MLFLOW_GCP_TEST_KILL_EVERY=1` kills at every
single changing call.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from localcloud.commands.env import variables
from tests.localcloud.harness import Local, Session

REPOSITORY = pathlib.Path(__file__).parents[2]
KILL_EVERY = int(os.environ.get("MLFLOW_GCP_TEST_KILL_EVERY", "7"))
RECAP = re.compile(r"^localhost\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=(\d+)", re.MULTILINE)
_MARK = "MLFLOW_GCP_TEST_RUN"


class Door:
    """Stands between the playbook and the cloud: counts changing calls and kills the run at one of them."""

    def __init__(self) -> None:
        self.left = 0
        self.killed_at: list[str] = []
        self.run = ""

    def __call__(self, application: Any) -> Any:
        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start" and self._is_the_one(scope):
                    self.killed_at.append(f"{scope['method']} {scope['path']}")
                    kill(self.run)
                await send(message)

            await application(scope, receive, answer)

        return asgi

    def _is_the_one(self, scope: Any) -> bool:
        reads = scope["method"] in ("GET", "HEAD") or scope["path"].endswith(("/token", ":getIamPolicy", "/wait"))
        if self.left == 0 or reads:
            return False
        self.left -= 1
        return self.left == 0


def kill(run: str) -> None:
    """SIGKILL to every process of a run: Ansible's workers and modules are in sessions of their own."""
    mark = f"{_MARK}={run}".encode()
    found = True
    while found:  # until no new one has appeared meanwhile
        found = False
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and mark in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True


class Playbook:
    """provision.yml, or another, as a person runs it after `eval "$(make -s env)"`."""

    def __init__(self, local: Local, door: Door, folder: pathlib.Path) -> None:
        self._door = door
        self.state = folder / "state"
        self._log = folder / "playbook.log"
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {
            **os.environ,
            **variables(local.settings),
            "ANSIBLE_NOCOLOR": "1",
            "MLFLOW_GCP_STATE_DIRECTORY": str(self.state),
            "PATH": path,
        }

    def run(self, *arguments: str, playbook: str = "provision", kill_at: int = 0) -> int:
        """Run it; its exit status, negative when it was killed (at the changing call of this number)."""
        self._door.run, self._door.left = uuid.uuid4().hex, kill_at
        command = ["ansible-playbook", f"playbooks/{playbook}.yml", *arguments]
        with self._log.open("wb") as log:
            return subprocess.run(
                command,
                cwd=REPOSITORY,
                env=self._environment | {_MARK: self._door.run},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=240,
                check=False,
            ).returncode

    @property
    def output(self) -> str:
        """What the last run said."""
        return self._log.read_text()

    def changed(self) -> int:
        """How many tasks of the last run changed something; none may have failed."""
        found = RECAP.search(self.output)
        assert found, self.output[-3000:]
        assert found[3] == "0", self.output[-3000:]
        return int(found[2])

    def to_the_end(self) -> int:
        """Run it to its end; how many tasks changed something."""
        assert self.run() == 0, self.output[-5000:]
        return self.changed()


@pytest.fixture
def door() -> Door:
    """Open, until told otherwise."""
    return Door()


@pytest.fixture
def local(tmp_path: pathlib.Path, door: Door) -> Iterator[Local]:
    """A local cloud behind the door, its project as empty as a new one: no API is enabled."""
    running = Local(tmp_path / "home", door=door)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def playbook(local: Local, door: Door, tmp_path: pathlib.Path) -> Playbook:
    """The playbook, against it."""
    return Playbook(local, door, tmp_path)


def test_killed_again_and_again_it_converges(playbook: Playbook, door: Door) -> None:
    for _ in range(100):
        status = playbook.run(kill_at=KILL_EVERY)
        if status != -signal.SIGKILL:
            break
    assert status == 0, f"after {door.killed_at}:\n{playbook.output[-5000:]}"
    print("\n".join(door.killed_at))
    assert len(door.killed_at) >= 3
    assert playbook.to_the_end() == 0, playbook.output[-5000:]


FAULTS: list[dict[str, Any]] = [
    {"method": "serviceusage.services.batchEnable", "code": 503},
    {"method": "compute.networks.insert", "code": 503, "count": 2},
    {"method": "compute.subnetworks.insert", "code": 400, "reason": "resourceNotReady", "message": "not ready"},
    {"method": "compute.firewalls.insert", "code": 403, "reason": "rateLimitExceeded"},
    {"method": "compute.addresses.insert", "code": 429, "retry_after": "1"},
    # The work was done and nobody heard of it: the connection broke, or a gateway gave up.
    {"method": "sql.instances.insert", "drop": True, "after": True},
    {"method": "compute.instances.insert", "code": 502, "after": True},
    {"method": "iam.projects.serviceAccounts.create", "drop": True, "after": True},
    {"method": "storage.buckets.insert", "drop": True, "after": True},
    {"method": "secretmanager.projects.secrets.create", "code": 503, "after": True},
    # Someone else is faster.
    {"method": "sql.databases.insert", "code": 409, "reason": "operationInProgress", "message": "Operation failed"},
    {"method": "sql.users.insert", "code": 409, "reason": "operationInProgress", "message": "Operation failed"},
    {"method": "cloudresourcemanager.projects.setIamPolicy", "code": 409, "reason": "ABORTED", "message": "etag"},
    {"method": "secretmanager.projects.secrets.setIamPolicy", "code": 409, "reason": "ABORTED", "message": "etag"},
    {"method": "storage.buckets.setIamPolicy", "code": 412, "reason": "conditionNotMet", "message": "etag"},
]


def test_faults_of_the_cloud_do_not_stop_it(local: Local, playbook: Playbook) -> None:
    session = Session(local, requests.Session())
    for fault in FAULTS:
        session.call("POST", "/localcloud/faults", json=fault)
    assert playbook.to_the_end() > 0
    left = session.call("GET", "/localcloud/faults")["scripted"]
    assert left == [], json.dumps(left)
    assert playbook.to_the_end() == 0, playbook.output[-5000:]


def test_what_a_killed_drill_left_goes_with_the_deployment(local: Local, playbook: Playbook) -> None:
    """It holds the network, and nobody else would ever look for it: its name is in the state that goes, too."""
    playbook.to_the_end()
    session = local.session()
    instances = "/sqladmin/v1/projects/mlflow-local/instances"
    network = "projects/mlflow-local/global/networks/mlflow-network"
    addresses = {"ipv4Enabled": False, "privateNetwork": network}
    settings = {"tier": "db-g1-small", "edition": "ENTERPRISE", "ipConfiguration": addresses}
    left = {"region": "europe-west1", "databaseVersion": "POSTGRES_17", "settings": settings}
    session.call("POST", instances, json={"name": "mlflow-drill-left"} | left)
    session.call("POST", instances, json={"name": "mlflow-rehearsal-left"} | left)
    session.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "mlflow-local-mlflow-drill-left"})
    state = playbook.state / "mlflow-local-mlflow"
    drill = {"instance": "mlflow-drill-left", "bucket": "mlflow-local-mlflow-drill-left"}
    (state / "throwaway-drill.json").write_text(json.dumps(drill))
    (state / "throwaway-rehearsal.json").write_text(json.dumps({"instance": "mlflow-rehearsal-left"}))

    confirmed = ["-e", "infrastructure_destroy_confirm=mlflow-local/mlflow", "-e", "infrastructure_destroy_data=true"]
    assert playbook.run(*confirmed, playbook="destroy") == 0, playbook.output[-5000:]
    assert playbook.changed() > 0
    assert "items" not in session.call("GET", instances)
    assert "items" not in session.call("GET", "/storage/v1/b?project=mlflow-local")
    assert not state.exists()
    assert playbook.run(*confirmed, playbook="destroy") == 0, playbook.output[-5000:]
    assert playbook.changed() == 0
