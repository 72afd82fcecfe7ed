# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A second control node with an empty home directory: refused during a run of the first, and then takes over."""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECORDS, REPOSITORY, Door, Playbook

VM = "/compute/v1/projects/mlflow-local/zones/europe-west1-b/instances/mlflow-server"
CHANGED = re.compile(r"^TASK \[(?:[\w.]+ : )?([^\]]+)\] \**\n(?:(?!TASK).*\n)*?changed: \[", re.MULTILINE)
# Copies of public data, and the SSH key of this control node.
FILES = {
    "Create the state directory",
    "Create the SSH key pair of the deployer",
    "Save the CA certificates for the clients and the control node",
    "Trust only the SSH host keys of the VM",
}


@dataclass
class Gate:
    """Records the changing calls, and holds one call until `open` is set."""

    closed_at: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)
    changing: list[str] = field(default_factory=list)

    def __call__(self, application: Any) -> Any:
        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            call = f"{scope['method']} {scope['path']}"
            reads = scope["method"] == "GET" or scope["path"].endswith(("/token", ":getIamPolicy", "/wait"))
            if not reads and "storage/v1" not in scope["path"]:
                self.changing.append(call)
            if call == self.closed_at:
                self.reached.set()
                while not self.open.is_set():
                    await asyncio.sleep(0.05)
            await application(scope, receive, send)

        return asgi


@dataclass
class World:
    local: Local
    gate: Gate
    first: Playbook
    second: Playbook

    @property
    def state(self) -> pathlib.Path:
        """Return the state directory of the second control node."""
        return pathlib.Path(self.second.environment["HOME"]) / ".local/state/mlflow-gcp/mlflow-local-mlflow"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("second")
    gate = Gate("POST /compute/v1/projects/mlflow-local/global/networks")
    local = Local(folder / "cloud", door=gate)
    local.start()
    homes = folder / "home-one", folder / "home-two"
    playbooks = []
    for home in homes:
        home.mkdir()
        playbook = Playbook(local, Door(), home)
        del playbook.environment["MLFLOW_GCP_STATE_DIRECTORY"]
        playbook.environment["HOME"] = str(home)
        playbook.environment.pop("XDG_STATE_HOME", None)
        playbooks.append(playbook)
    yield World(local, gate, *playbooks)
    gate.open.set()
    local.stop()


def test_two_control_nodes_at_once_one_is_refused(world: World) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(world.first.run)
        try:
            assert world.gate.reached.wait(120), world.first.output[-5000:]
            before = list(world.gate.changing)
            assert world.second.run() != 0
            output = " ".join(world.second.output.split())
            assert "Another run works on mlflow-local/mlflow: process" in output
            assert "purpose 'Create the cloud resources', started at 20" in output
            assert world.gate.changing == before, "the refused run changed something"
        finally:
            world.gate.open.set()
        assert first.result() == 0, world.first.output[-5000:]


def test_a_second_control_node_takes_over(world: World) -> None:
    session = world.local.session()
    lock = (REPOSITORY / "roles" / "mlflow" / "files" / "requirements-3.17.2.txt").read_text()
    record = {"version": "3.99.0", "since": "2026-11-28T22:00:00Z", "requirements": lock}
    session.call("POST", f"{RECORDS}release.json", data=json.dumps(record))  # as after an upgrade
    key = session.call("GET", VM)["metadata"]
    world.gate.changing.clear()
    world.second.to_the_end("-e", "upgrade_channel=latest")
    assert world.gate.changing == [f"POST {VM}/setMetadata"]
    assert session.call("GET", VM)["metadata"] != key
    assert set(CHANGED.findall(world.second.output)) - FILES == {"Create the VM"}
    assert (world.state / "releases" / "requirements-3.99.0.txt").read_text() == lock
    assert (world.state / "ca.pem").is_file()
