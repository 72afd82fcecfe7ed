# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The two measurements that tests make small and `make bench` makes large: an upgrade, and many switches."""

from __future__ import annotations

import statistics
import time
from typing import Any, Protocol

from benchmarks.background import Target, background

SWITCH = ("/usr/bin/python3", "/opt/mlflow/libexec/switch.py")


class Machine(Protocol):
    """What is needed of the machine."""

    def run(self, *command: str) -> str:
        """Run a command on it."""
        ...

    def upgrade(self, version: str, *, watch: int = 3) -> dict[str, Any]:
        """Upgrade it; return the result that it tells."""
        ...


def upgrade(machine: Machine, target: Target, version: str, *, clients: int = 3, limit: float = 600) -> dict[str, Any]:
    """Upgrade under load, with a view from outside. Ends by itself after `limit` seconds."""
    with (
        background("load", target, limit, "--clients", str(clients)) as load,
        background("probe", target, limit) as probe,
    ):
        time.sleep(5)
        started = time.monotonic()
        result = machine.upgrade(version)
        elapsed = time.monotonic() - started
        time.sleep(3)
        seen = probe.report()
        return {"result": result, "seconds": round(elapsed, 1), "probe": seen, "load": load.report()}


def switches(machine: Machine, target: Target, count: int, *, clients: int = 2, limit: float = 0) -> dict[str, Any]:
    """Restart blue/green so many times under load, or as often as fits into `limit` seconds."""
    limit = limit or 60.0 * count
    taken: list[float] = []
    with (
        background("load", target, limit + 60, "--clients", str(clients)) as load,
        background("probe", target, limit + 60) as probe,
    ):
        end = time.monotonic() + limit
        while len(taken) < count and time.monotonic() < end:
            started = time.monotonic()
            machine.run(*SWITCH, "reload")
            taken.append(time.monotonic() - started)
        seen = probe.report()
        told = load.report()
    return {
        "switches": len(taken),
        "seconds": {
            "min": round(min(taken), 2),
            "median": round(statistics.median(taken), 2),
            "max": round(max(taken), 2),
        },
        "probe": seen,
        "load": told,
    }
