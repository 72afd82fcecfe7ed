# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks of `make bench` in the container of scripts/bench.sh: upgrade, cutovers, kept connections."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.background import Target
from tests.support.machine import Machine, make_original
from tests.support.measure import TOLERANCE, keepalive, switches, upgrade

OLD, NEW = "2.22.5", "3.17.2"
REPORT = Path(__file__).parents[1] / "artifacts" / "bench.json"


def large_upgrade(machine: Machine, target: Target, runs: int) -> dict[str, Any]:
    """Upgrade from 2.22 to 3 under load, with the rows of the given number of runs."""
    started = time.monotonic()
    original = make_original(machine, runs)
    filled = time.monotonic() - started
    size = int(machine.sql("postgres", "SELECT pg_database_size('mlflow');"))
    measured = upgrade(machine, target, NEW, clients=8, around=60, limit=1800)
    result, probe = measured["result"], measured["probe"]
    return {
        "runs": runs,
        "rows": sum(snapshot.rows for snapshot in original.filled.values()),
        "megabytes": round(size / 1e6),
        "fill_seconds": round(filled, 1),
        "downtime_told_seconds": result["held_seconds"],
        "downtime_seen_seconds": probe["away_seconds"],
        "ratio_seen_to_told": round(probe["away_seconds"] / max(result["held_seconds"], 0.001), 3),
        "changed_tables": {name: str(value) for name, value in original.lost().items()},
        **measured,
    }


def broken(report: dict[str, Any], wanted_switches: int) -> list[str]:
    """Return a message for each requirement that the results do not meet."""
    upgraded, switched = report["upgrade"], report["switches"]
    told, seen = upgraded["downtime_told_seconds"], upgraded["downtime_seen_seconds"]
    found = {
        f"the upgrade failed: {upgraded['result'].get('cause')}": not upgraded["result"]["ok"],
        f"tables or artifacts changed: {', '.join(upgraded['changed_tables'])}": upgraded["changed_tables"],
        f"downtime measured: {seen} s, reported: {told} s": abs(seen - told) > TOLERANCE,
        f"{switched['probe']['failed']} requests failed in a cutover": switched["probe"]["failed"],
        f"{switched['switches']} of {wanted_switches} cutovers in the time limit": switched["switches"]
        != wanted_switches,
    }
    for name, load in {"upgrade": upgraded["load"], "switches": switched["load"]}.items():
        calls = {key: load[key] for key in ("lost", "wrong", "twice") if load[key]}
        found[f"failed calls of clients, {name}: {calls}"] = calls
    return [words for words, is_so in found.items() if is_so]


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure an upgrade and cutovers in the container of scripts/bench.sh")
    parser.add_argument("--machine", default="mlflow-molecule-upgrade")
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--switches", type=int, default=200)
    options = parser.parse_args()
    machine = Machine(options.machine)
    address = machine.run("hostname", "-I").split()[0]
    target = Target(f"https://{address}", options.ca, machine.run("cat", "/etc/credstore/mlflow.admin-password"))
    report: dict[str, Any] = {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "upgrade": lambda: large_upgrade(machine, target, options.runs),
        "keepalive": lambda: keepalive(machine, target),
        "switches": lambda: switches(machine, target, options.switches),
    }
    for name, measure in parts.items():
        print(f"==> {name}", file=sys.stderr, flush=True)
        report[name] = measure()
        print(json.dumps({name: report[name]}, indent=1), flush=True)
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    promises = broken(report, options.switches)
    for words in promises:
        print(f"error: {words}", file=sys.stderr)
    return 1 if promises else 0
