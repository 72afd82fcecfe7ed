# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""After the failures, the upgrade succeeds. Several cutovers and a rollback succeed under load."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from tests.support.background import Target, background
from tests.support.machine import CUTOVER, Machine, Original
from tests.support.measure import switches

OLD, NEW = "2.22.5", "3.17.2"
SWITCHES = int(os.environ.get("MLFLOW_GCP_SWITCHES", "5"))


def test_upgrade(machine: Machine, original: Original) -> None:
    """All rows and artifacts exist. tests/e2e/upgrade upgrades under load."""
    result = machine.upgrade(NEW)
    assert (result["ok"], result["migrated"], machine.serving()) == (True, True, NEW)
    assert machine.status()["rolled_back"] is None
    assert original.lost() == {}


def test_switches_under_load(machine: Machine, target: Target, record_property: Callable[[str, object], None]) -> None:
    """Clients do not notice a cutover, even without retries."""
    measured = switches(machine, target, SWITCHES)
    record_property("measured", json.dumps(measured))
    print(json.dumps(measured, indent=1))
    assert measured["switches"] == SWITCHES
    assert measured["load"]["calls"] > 100
    assert (measured["load"]["lost"], measured["load"]["wrong"], measured["load"]["twice"]) == (0, [], 0)
    assert measured["probe"]["requests"] > 100
    assert measured["probe"]["failed"] == 0


def test_same_release_again_changes_nothing(machine: Machine) -> None:
    before = machine.status()
    assert json.loads(machine.run(*CUTOVER, "reload", "--needed")) == {"changed": False}
    assert machine.status() | {"uptime_seconds": before["uptime_seconds"]} == before


def test_rollback_by_hand(machine: Machine, target: Target, original: Original) -> None:
    """Roll back to the old release and its databases. Newer rows are kept in NAME_failed."""
    with background("load", target, 300, "--clients", "2") as load:
        result = json.loads(machine.run(*CUTOVER, "rollback"))
        report = load.report()
    assert (result["ok"], result["kind"]) == (True, "rollback")
    assert machine.serving() == OLD
    assert machine.status()["rolled_back"]["version"] == NEW
    # Only runs that were created after the upgrade are missing.
    assert [each for each in report["failures"] if "RESOURCE_DOES_NOT_EXIST" not in each["error"]] == []
    assert original.lost() == {}
    assert {"mlflow_failed", "mlflow_auth_failed"} <= machine.databases()
