# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check results of the Cloud SQL instance and of temporary instances."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor import database
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.cloud import Cloud as Google

from tests.unit.harness import PROJECT, Cloud, Json
from tests.unit.module_utils._doctor.google import NOW, ago

BACKUPS = f"v1/projects/{PROJECT}/instances/mlflow-database/backupRuns"


def instance(**settings: Any) -> Json:
    configuration = {"enabled": True, "pointInTimeRecoveryEnabled": True, "startTime": "02:00"}
    return {
        "name": "mlflow-database",
        "state": "RUNNABLE",
        "databaseVersion": "POSTGRES_17",
        "createTime": ago(days=30),
        "settings": {"backupConfiguration": configuration | settings},
    }


def test_database() -> None:
    assert database.database(instance(), PROJECT).state == "ok"
    assert database.database(instance() | {"state": "MAINTENANCE"}, PROJECT).state == "fail"
    stopped = database.database(instance() | {"settings": {"activationPolicy": "NEVER"}}, PROJECT)
    start = "gcloud sql instances patch mlflow-database --activation-policy=ALWAYS"
    assert stopped.remedy == f"{start} --project={PROJECT}"


def backup(hours: float, status: str = "SUCCESSFUL", kind: str = "AUTOMATED") -> Json:
    error = {"error": {"message": "no room"}} if status == "FAILED" else {}
    return {"status": status, "type": kind, "endTime": ago(hours=hours)} | error


@pytest.mark.parametrize(
    ("runs", "state", "value"),
    [
        ([backup(30), backup(6)], "ok", "newest 6.0 h old (2 automated, 0 on demand), point-in-time recovery on"),
        (
            [backup(30), backup(1, kind="ON_DEMAND")],
            "ok",
            "newest 1.0 h old (1 automated, 1 on demand), point-in-time recovery on",
        ),
        ([backup(30)], "warn", "newest 30.0 h old (1 automated, 0 on demand), point-in-time recovery on"),
        ([backup(100)], "fail", "newest 4 days old (1 automated, 0 on demand), point-in-time recovery on"),
        (
            [backup(20), backup(2, "FAILED")],
            "warn",
            "newest 20.0 h old (1 automated, 0 on demand), point-in-time recovery on; 1 newer failed: no room",
        ),
        (
            [backup(2, "RUNNING"), backup(6)],
            "ok",
            "newest 6.0 h old (1 automated, 0 on demand), point-in-time recovery on",
        ),
        ([], "fail", "no backup yet; the instance is 30 days old, the first automatic backup starts after 02:00 UTC"),
    ],
)
def test_backups(cloud: Cloud, google: Google, runs: list[Json], state: str, value: str) -> None:
    cloud.get("sql", BACKUPS, {"items": runs} if runs else {})
    result = database.backups(google, instance(), NOW.timestamp(), 26, 72)
    # The timestamps contain milliseconds.
    assert (result.state, result.value) == (state, value)
    assert ("playbooks/backup.yml" in result.remedy) == (state != "ok")


def test_a_new_instance_has_no_backup_yet(cloud: Cloud, google: Google) -> None:
    cloud.get("sql", BACKUPS, {})
    assert database.backups(google, instance() | {"createTime": ago(hours=1)}, NOW.timestamp(), 26, 72).state == "warn"


def test_backups_are_off(google: Google) -> None:
    assert database.backups(google, instance(enabled=False), NOW.timestamp(), 26, 72).state == "fail"


def test_recovery_to_a_point_in_time_is_off(cloud: Cloud, google: Google) -> None:
    cloud.get("sql", BACKUPS, {"items": [backup(6)]})
    result = database.backups(google, instance(pointInTimeRecoveryEnabled=False), NOW.timestamp(), 26, 72)
    assert (result.state, "point-in-time recovery OFF" in result.value) == ("warn", True)


def left_over(name: str, purpose: str, **age: float) -> Json:
    return {"name": name, "createTime": ago(**age), "settings": {"userLabels": {"app": "mlflow", "purpose": purpose}}}


def test_temporary_instances(cloud: Cloud, google: Google) -> None:
    """The state directory of another control node names the instances, or no state directory does."""
    used = left_over("mlflow-drill-used", "restore-drill", hours=3)
    others = [
        instance(),
        left_over("mlflow-drill-2", "production", days=9),
        left_over("mlflow-blue-drill-1", "restore-drill", days=9),
        left_over("other-drill-x", "restore-drill", days=9),
        used,
    ]
    path = f"v1/projects/{PROJECT}/instances"
    cloud.get("sql", path, {"items": others})
    result = database.temporary(google, "mlflow", NOW.timestamp())
    assert (result.state, result.value) == ("ok", "mlflow-drill-used: a drill or a rehearsal may be running")
    left = [
        left_over("mlflow-rehearsal-1", "upgrade-rehearsal", days=3),
        left_over("mlflow-drill-1", "restore-drill", hours=20),
    ]
    cloud.get("sql", path, {"items": [*others, *left]})
    result = database.temporary(google, "mlflow", NOW.timestamp())
    assert result.state == "warn"
    assert "mlflow-rehearsal-1 of an interrupted run, 3 days old" in result.value
    assert result.remedy == f"gcloud sql instances delete mlflow-rehearsal-1 mlflow-drill-1 --project={PROJECT}"
    cloud.get("sql", path, {})
    assert database.temporary(google, "mlflow", NOW.timestamp()).state == "ok"


def size(used: int = 10, held: float = 1e9) -> Json:
    connections = {"used": used, "allowed": 97}
    return {"size": {"databases": {"mlflow": held}, "bytes": held, "connections": connections}}


@pytest.mark.parametrize(("used", "state"), [(10, "ok"), (75, "warn"), (96, "fail")])
def test_connections(used: int, state: str) -> None:
    result = database.connections(size(used), 70, 90)
    assert (result.state, result.value) == (state, f"{used} of 97 ({100 * used / 97:.0f} %)")
    assert ("infrastructure_database_tier" in result.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("settings", "held", "state", "growth"),
    [
        ({"storageAutoResize": True}, 12e9, "ok", "grows automatically"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 12e9, "ok", "grows to 20 GB"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 18e9, "warn", "grows to 20 GB"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 21e9, "fail", "grows to 20 GB"),
        ({}, 1e9, "ok", "does not grow"),
        ({}, 9e9, "warn", "does not grow"),
        ({}, 10e9, "fail", "does not grow"),
    ],
)
def test_database_disk(settings: Json, held: float, state: str, growth: str) -> None:
    result = database.database_disk(size(held=held), {"settings": {"dataDiskSizeGb": "10", **settings}}, 80, 90)
    assert (result.state, result.value) == (state, f"databases use {held / 1e9:.2f} GB of 10 GB, the disk {growth}")
    assert ("infrastructure_database_disk_size_gb" in result.remedy) == (state != "ok")
