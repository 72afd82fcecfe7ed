# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The VM container of the molecule scenario `upgrade`, controlled as roles/upgrade controls a VM."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import rows

PROGRAM = "/usr/local/bin/mlflowctl"
CUTOVER = (PROGRAM, "cutover")
JOURNAL = "/var/lib/mlflow-switch/journal.json"
ARTIFACTS = "/srv/mlflow-artifacts"
# Only the filled artifacts: the running server also writes files.
DIGEST = f"cd {ARTIFACTS} && find [0-9]* -type f -path '*/filled/*' -exec sha256sum {{}} + | sort | sha256sum"


class Machine:
    """A container with systemd."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, given: str | None = None, check: bool = True) -> str:
        """Run a command in the container; return its output."""
        outcome = subprocess.run(
            ["docker", "exec", "-i", self.name, *command], input=given, text=True, capture_output=True, check=False
        )
        if check and outcome.returncode:
            raise RuntimeError(f"{command}: {outcome.returncode}: {outcome.stdout[-2000:]} {outcome.stderr[-2000:]}")
        return outcome.stdout.strip()

    def shell(self, script: str) -> str:
        """Run a shell script in the container; return its output."""
        return self.run("sh", "-euc", script)

    def sql(self, database: str, statements: str) -> str:
        """Run SQL as the superuser; return the rows in the format of psql -At."""
        command = ("runuser", "-u", "postgres", "--", "psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-d", database)
        return self.run(*command, given=statements)

    def databases(self) -> set[str]:
        """Return the names of MLflow's databases."""
        return set(self.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'mlflow%';").split())

    # --- Releases and slots

    def release(self, version: str) -> str:
        """Return the directory of a version's release."""
        return self.shell(f"ls -d /opt/mlflow/releases/{version}-*")

    def status(self) -> dict[str, Any]:
        """Return the status of the deployment."""
        document: dict[str, Any] = json.loads(self.run(PROGRAM, "status"))
        return document

    def serving(self) -> str:
        """Return the version in the active slot."""
        status = self.status()
        return str(status["slots"][status["active"]]["version"])

    def ask(self, version: str, *options: str) -> str:
        """Select a release and start the cutover to it; return the ID of the cutover."""
        self.run("ln", "-sfn", self.release(version), "/opt/mlflow/current")
        return str(json.loads(self.run(*CUTOVER, "upgrade", *options))["id"])

    def wait(self, what: str, name: str, timeout: float = 180) -> dict[str, Any]:
        """Wait for a cutover; return its status."""
        answer = self.run(*CUTOVER, "wait", "--for", what, "--id", name, "--timeout", str(timeout), check=False)
        document: dict[str, Any] = json.loads(answer)
        return document

    def upgrade(self, version: str, *, watch: int = 3) -> dict[str, Any]:
        """Perform a complete cutover, with the approval that the control node gives."""
        name = self.ask(version, "--approval-timeout", "60", "--watch", str(watch))
        if self.wait("ready", name).get("step") == "ready":
            self.run(*CUTOVER, "approve")
        return self.wait("done", name)

    def at_step(self, step: str, command: str) -> None:
        """Run a shell command as soon as the cutover is at a step."""
        there = f'grep -qs \'"step": "{step}"\' {JOURNAL}'
        self.shell(f"i=0; until {there}; do sleep 0.02; i=$((i+1)); [ $i -lt 6000 ]; done; {command}")

    @contextmanager
    def planted(self, version: str, code: str) -> Iterator[None]:
        """Make each Python process of a release run this code at its start."""
        place = self.shell(f"echo {self.release(version)}/lib/python3*/site-packages")
        self.run("tee", f"{place}/planted.py", given=code)
        # Not sitecustomize.py: Debian's Python has its own, which comes first on the path.
        self.run("tee", f"{place}/planted.pth", given="import planted\n")
        try:
            yield
        finally:
            self.run("rm", f"{place}/planted.pth", f"{place}/planted.py")

    def power_cut(self) -> None:
        """Kill the container, so that all processes and the memory are lost; boot it."""
        subprocess.run(["docker", "kill", self.name], check=True, capture_output=True)
        subprocess.run(["docker", "start", self.name], check=True, capture_output=True)
        deadline = time.monotonic() + 120
        # At first systemd does not answer systemctl.
        while self.run("systemctl", "is-system-running", check=False) not in ("running", "degraded"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not boot within 120 s")
            time.sleep(0.5)

    def artifacts(self) -> str:
        """Return a checksum of the original artifacts."""
        return self.shell(DIGEST)


@dataclass(frozen=True)
class Original:
    """Tables and artifacts before the first upgrade."""

    machine: Machine
    everything: dict[str, rows.Snapshot]
    filled: dict[str, rows.Snapshot]
    artifacts: str

    def changed(self) -> dict[str, Any]:
        """Return the tables that differ from the original, and the artifacts if they differ."""
        return self._compare(self.everything, None)

    def lost(self) -> dict[str, Any]:
        """Compare the original rows and artifacts only; ignore new rows."""
        return self._compare(self.filled, rows.FILLED)

    def _compare(self, snapshots: dict[str, rows.Snapshot], where: Any) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for name, snapshot in snapshots.items():
            answer |= rows.differences(self.machine.sql, name, snapshot, where)
        if (now := self.machine.artifacts()) != self.artifacts:
            answer["artifacts"] = (self.artifacts, now)
        return answer


def make_original(machine: Machine, runs: int, *, artifacts: int = 200) -> Original:
    """Fill the databases and write artifacts of some runs, unless an earlier call did."""
    if machine.sql("mlflow", "SELECT count(*) FROM runs WHERE experiment_id > 1000000;") == "0":
        rows.fill(machine.sql, runs)
        machine.run("python3", "-", str(artifacts), given=(Path(__file__).parent / "artifacts.py").read_text())
    names = ("mlflow", "mlflow_auth")
    everything = {name: rows.snapshot(machine.sql, name) for name in names}
    filled = {name: rows.snapshot(machine.sql, name, rows.FILLED) for name in names}
    return Original(machine, everything, filled, machine.artifacts())
