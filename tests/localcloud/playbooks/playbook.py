# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The project's own playbooks against a local cloud in this process."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import uuid
from fnmatch import fnmatchcase
from typing import Any

from localcloud.commands.env import variables
from tests.localcloud.harness import Local

REPOSITORY = pathlib.Path(__file__).parents[3]
RECAP = re.compile(r"^localhost\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=(\d+)", re.MULTILINE)
# Upload address of a record of the deployment, without the record's name.
RECORDS = "/upload/storage/v1/b/mlflow-local-mlflow-backups/o?uploadType=media&name=deployments/mlflow-local/mlflow/"
MARK = "MLFLOW_GCP_TEST_RUN"
# Kill a run at its first changing call at which no run was killed before.
NEW = "new"


class Door:
    """Intercepts calls from the playbook to the cloud: records changing calls and kills the run at a given call."""

    def __init__(self) -> None:
        self.changing: list[str] = []
        self.kill_at: int | str = 0
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
        # Every run takes the lock and deletes it at its end, in the backups bucket.
        if reads or "-backups/o" in scope["path"]:
            return False
        call = f"{scope['method']} {scope['path']}"
        self.changing.append(call)
        if self.kill_at == NEW:
            return call not in self.killed_at
        if isinstance(self.kill_at, str):
            return fnmatchcase(call, self.kill_at)
        return len(self.changing) == self.kill_at


def kill(run: str) -> None:
    """Send SIGKILL to every process of a run: Ansible's workers and modules have sessions of their own."""
    mark = f"{MARK}={run}".encode()
    found = True
    while found:  # repeat until no new process has appeared
        found = False
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and mark in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True


class Playbook:
    """A playbook, by default provision.yml, run as a user runs it after `eval "$(make -s env)"`."""

    def __init__(self, local: Local, door: Door, folder: pathlib.Path) -> None:
        self._door = door
        self.state = folder / "state"
        self.directory = REPOSITORY
        self._log = folder / "playbook.log"
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            **variables(local.settings),
            "ANSIBLE_NOCOLOR": "1",
            "MLFLOW_GCP_STATE_DIRECTORY": str(self.state),
            "PATH": path,
        }

    def run(self, *arguments: str, playbook: str = "provision", kill_at: int | str = 0) -> int:
        """Run a playbook; return its exit status, which is negative after a kill.

        `kill_at` is the number of a changing call, a pattern of its method and path ("DELETE */networks/n"), or NEW.
        """
        self._door.run, self._door.kill_at, self._door.changing = uuid.uuid4().hex, kill_at, []
        command = ["ansible-playbook", self.path(playbook), *arguments]
        with self._log.open("wb") as log:
            return subprocess.run(
                command,
                cwd=self.directory,
                env=self.environment | {MARK: self._door.run},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=600,
                check=False,
            ).returncode

    def path(self, playbook: str) -> str:
        """Return the path of a playbook for ansible-playbook."""
        return f"playbooks/{playbook}.yml"

    @property
    def output(self) -> str:
        """Return the output of the last run."""
        return self._log.read_text()

    def changed(self) -> int:
        """Assert that no task of the last run failed; return the number of changed tasks."""
        found = RECAP.search(self.output)
        assert found, self.output[-3000:]
        assert found[3] == "0", self.output[-3000:]
        return int(found[2])

    def to_the_end(self, *arguments: str, playbook: str = "provision") -> int:
        """Run a playbook, assert success, return the number of changed tasks."""
        assert self.run(*arguments, playbook=playbook) == 0, self.output[-5000:]
        return self.changed()
