# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The lock of a deployment, taken by real runs of ansible-playbook against a local cloud in this process."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import MARK, REPOSITORY, Door, Playbook, kill

BUCKET = "mlflow-local-mlflow-backups"
OBJECTS = f"/storage/v1/b/{BUCKET}/o"
LOCK = f"{OBJECTS}/deployments%2Fmlflow-local%2Fmlflow%2Flock"
LOCALHOST = ("-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}")
PLAYBOOK = """
- name: Upgrade MLflow
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Take the lock
      mlops.mlflow_gcp.mlflow_lock: &lock
        project: mlflow-local
        bucket: mlflow-local-mlflow-backups
        deployment: mlflow-local/mlflow
        purpose: "{{ ansible_play_name }}"
    - name: Do the work of the run
      ansible.builtin.command: cat {{ fifo }}
      when: fifo is defined
    - name: Require the lock
      mlops.mlflow_gcp.mlflow_lock:
        <<: *lock
        state: held
"""


class Node:
    """A control node with runs of the playbook."""

    def __init__(self, local: Local, folder: pathlib.Path) -> None:
        folder.mkdir()
        self.environment = Playbook(local, Door(), folder).environment | {"HOME": str(folder)}
        self.folder, self.mark = folder, uuid.uuid4().hex
        (folder / "playbook.yml").write_text(PLAYBOOK)
        os.mkfifo(folder / "fifo")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ansible-playbook", *LOCALHOST, str(self.folder / "playbook.yml"), *arguments],
            cwd=REPOSITORY,
            env=self.environment | {MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def works(self) -> subprocess.Popen[str]:
        """Start a run that works until `ends`."""
        return self.start("-e", f"fifo={self.folder / 'fifo'}")

    def ends(self) -> None:
        (self.folder / "fifo").write_text("")

    def runs(self) -> tuple[int, str]:
        """Run the playbook; return its exit status and its output without line breaks."""
        run = self.start()
        output, _ = run.communicate(timeout=60)
        return run.returncode, " ".join(output.split())

    def keeper(self) -> int:
        """Return the process that renews the lock."""
        mark = f"{MARK}={self.mark}".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            leads = os.getsid(int(process.name)) == int(process.name)
            if leads and mark in (process / "environ").read_bytes() and b"lock" in (process / "cmdline").read_bytes():
                return int(process.name)
        raise AssertionError("no process renews the lock")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Local, Node, Node]]:
    folder = tmp_path_factory.mktemp("lock")
    local = Local(folder / "cloud")
    local.start()
    local.session().call("POST", "/storage/v1/b?project=mlflow-local", json={"name": BUCKET})
    nodes = Node(local, folder / "one"), Node(local, folder / "two")
    yield local, *nodes
    for node in nodes:
        kill(node.mark)
    local.stop()


def lock(local: Local) -> dict[str, Any] | None:
    """Return the metadata of the lock, or None."""
    found = [each for each in local.session().call("GET", OBJECTS).get("items", []) if each["name"].endswith("lock")]
    return found[0]["metadata"] if found else None


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_two_control_nodes_work_in_turn_and_never_at_once(nodes: tuple[Local, Node, Node]) -> None:
    local, one, two = nodes
    first = one.works()
    wait(lambda: lock(local) is not None, "no lock")
    held = lock(local)
    assert held
    assert held["pid"] == str(first.pid)
    assert held["account"].endswith("@mlflow-local.iam.gserviceaccount.com")
    status, output = two.runs()
    assert status != 0
    assert f"Another run works on mlflow-local/mlflow: process {first.pid} of {held['user']}" in output
    assert f"on {held['host']}, purpose 'Upgrade MLflow', started at {held['started']} by hand" in output
    assert f"expires at {held['expires']}" in output

    # On a timeout systemd signals the whole unit, and ansible-playbook needs some time to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(one.keeper(), number)
    time.sleep(0.2)
    assert lock(local) == held
    first.kill()
    first.wait()
    wait(lambda: lock(local) is None, "the lock stays after the run")
    kill(one.mark)


def test_the_lock_of_a_lost_control_node_is_taken_over_after_its_expiry(nodes: tuple[Local, Node, Node]) -> None:
    local, one, two = nodes
    one.works()
    wait(lambda: lock(local) is not None, "no lock")
    kill(one.mark)  # with the process that renews the lock
    held = lock(local)
    assert held
    expired = {"run": "another-boot/1:4711@99", "host": "build-7", "expires": "2026-01-01T00:00:00Z"}
    local.session().call("PATCH", LOCK, json={"metadata": expired})
    status, output = two.runs()
    assert status == 0, output
    assert "This run takes over the lock" in output
    assert "on build-7" in output
    wait(lambda: lock(local) is None, "the lock stays after the run")


def test_a_run_whose_lock_was_taken_ends_before_its_next_step(nodes: tuple[Local, Node, Node]) -> None:
    local, one, two = nodes
    first = one.works()
    wait(lambda: lock(local) is not None, "no lock")
    local.session().call("DELETE", LOCK, 204)
    assert two.runs()[0] == 0
    one.ends()
    output, _ = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "This run lost the lock of mlflow-local/mlflow" in " ".join(output.split())
