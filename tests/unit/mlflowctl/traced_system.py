# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A VM that records the actions of a cutover, and their short forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mlflowctl.system import PROGRAM

from .fake_system import FakeSystem, KilledError

OLD, SAME, NEW = "3.17.2", "3.17.3", "3.18.0"
FLAGS = ("migration", "databases", "moved", "committed", "kept_failed")
JOB = "systemd-run --quiet --collect --unit=mlflow-schema --wait --pipe"
STOP_BLUE = ["systemctl stop mlflow@blue.service", "systemctl reset-failed mlflow@blue.service"]
STOP_GREEN = ["systemctl stop mlflow@green.service", "systemctl reset-failed mlflow@green.service"]


class TracedSystem(FakeSystem):
    """A VM that also records the content of the journal. Schema jobs take time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.slow = {"heads": 1, "copy": 3, "migrate": 5, "restore": 2}
        self.kill_after = ""

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        super().write(path, text, mode)
        if path.name != "journal.json" or self._inner:
            return
        entry = json.loads(text)
        held = ["held"] if entry["held_since"] is not None else []
        failed = ["failed"] if entry["failure"] else []
        self.log[-1] = " ".join([f"journal {entry['step']}:", *(f for f in FLAGS if entry[f]), *held, *failed])
        if self.log[-1] == self.kill_after:
            self.kill_at = self.deeds + 1

    def trace(self) -> list[str]:
        """Return the actions since the last call, in short forms."""
        lines = [line for line in self.log if not line.startswith("after ")]
        self.log.clear()
        for path in self.code:
            lines = [line.replace(path, path.split("/")[-1].split("-")[0]) for line in lines]
        return [line.replace(f"-I {PROGRAM} ", "").replace("/bin/python ", " ") for line in lines]


def make(root: Path) -> TracedSystem:
    """Return a VM with 3.17.2 in the active slot blue."""
    system = TracedSystem(root)
    system.want(system.release(OLD, 1))
    system.release(SAME, 1)
    system.release(NEW, 2)
    system.switch().start()
    system.trace()
    return system


def path(version: str) -> str:
    return f"/opt/mlflow/releases/{version}-0123456789ab"


def described(slot: str, version: str) -> dict[str, str]:
    return {"slot": slot, "release": path(version), "version": version}


def result(system: FakeSystem) -> dict[str, Any]:
    document = system.switch().journal.load("result")
    assert document is not None
    return document


def without_unit_of_heads(trace: list[str]) -> list[str]:
    """Shorten the command that reads the revisions: its unit has a random name."""
    return [re.sub(r".* (\S+) schema heads --auth-database mlflow_auth$", r"heads \1", line) for line in trace]


def killed(system: TracedSystem, kill_after: str) -> None:
    """Kill a cutover at the first action after a line of the trace, and forget the trace."""
    system.kill_after = kill_after
    with pytest.raises(KilledError):
        system.switch().run()
    system.kill_after, system.kill_at = "", None
    system.trace()
