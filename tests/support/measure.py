# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Measure an upgrade, cutovers and kept connections. Tests use small numbers, `make bench` large ones."""

from __future__ import annotations

import re
import statistics
import time
from typing import Any

import requests

from tests.support.background import Target, background
from tests.support.machine import CUTOVER, Machine
from tests.support.probe import PATH

# Allowed difference in seconds of reported and measured downtime: the probe's interval, and slow answers after it.
TOLERANCE = 2.5


def upgrade(
    machine: Machine, target: Target, version: str, *, clients: int = 3, around: float = 5, limit: float = 600
) -> dict[str, Any]:
    """Upgrade under load, with the probe running.

    Load and probe run from `around` seconds before the upgrade to `around` seconds after it, for `limit` seconds at
    most.
    """
    with (
        background("load", target, limit, "--clients", str(clients)) as load,
        background("probe", target, limit) as probe,
    ):
        time.sleep(around)
        started = time.monotonic()
        result = machine.upgrade(version)
        elapsed = time.monotonic() - started
        time.sleep(around)
        seen = probe.report()
        return {"result": result, "seconds": round(elapsed, 1), "probe": seen, "load": load.report()}


def rounds(target: Target, requests_a_round: int) -> float:
    """Return the median duration in milliseconds of a cheap authenticated request, on one connection."""
    taken = []
    with requests.Session() as session:
        session.auth = (target.username, target.password)
        for _ in range(requests_a_round):
            started = time.monotonic()
            # An argument of each request, because REQUESTS_CA_BUNDLE overrides the value of a session.
            session.get(target.url + PATH, timeout=30, verify=str(target.ca)).raise_for_status()
            taken.append((time.monotonic() - started) * 1000)
    return statistics.median(taken)


def keepalive(machine: Machine, target: Target, *, count: int = 7, size: int = 200) -> dict[str, Any]:
    """Compare a new connection from nginx to MLflow for each request, the default, with kept connections."""
    place = "/etc/nginx/conf.d/mlflow.conf"
    original = machine.run("cat", place) + "\n"
    with_keepalive, found = re.subn(r"^( *)server unix:.*$", r"\g<0>\n\1keepalive 16;", original, flags=re.M)
    if not found:
        raise RuntimeError(f"{place} has no upstream with a Unix socket")
    taken: dict[str, list[float]] = {"anew": [], "kept": []}
    try:
        for _ in range(count):
            for name, text in (("anew", original), ("kept", with_keepalive)):
                machine.run("tee", place, given=text)
                machine.run("systemctl", "reload", "nginx")
                # The old workers end with their connections.
                time.sleep(1)
                taken[name].append(rounds(target, size))
    finally:
        machine.run("tee", place, given=original)
        machine.run("systemctl", "reload", "nginx")
    medians = {name: statistics.median(values) for name, values in taken.items()}
    spread = {name: [round(f(values), 2) for f in (min, statistics.median, max)] for name, values in taken.items()}
    return {"milliseconds_min_median_max": spread, "ratio_anew_to_kept": round(medians["anew"] / medians["kept"], 3)}


def switches(machine: Machine, target: Target, count: int, *, clients: int = 2, limit: float = 0) -> dict[str, Any]:
    """Restart blue/green `count` times under load, or as often as possible in `limit` seconds."""
    limit = limit or 60.0 * count
    taken: list[float] = []
    with (
        background("load", target, limit + 60, "--clients", str(clients)) as load,
        background("probe", target, limit + 60) as probe,
    ):
        end = time.monotonic() + limit
        while len(taken) < count and time.monotonic() < end:
            started = time.monotonic()
            machine.run(*CUTOVER, "reload")
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
