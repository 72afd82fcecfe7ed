# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_restore

from tests.unit.harness import Cloud, Json, Play

INSTANCE = "v1/projects/my-project/instances/db"
BACKUP = f"{INSTANCE}/backupRuns/100"
GOOD = {"id": "100", "status": "SUCCESSFUL", "databaseVersion": "POSTGRES_17", "startTime": "2026-11-01T00:00:00Z"}


def run(play: Play, **params: Any) -> Json:
    return play(gcp_sql_restore, **{"instance": "db", "backup_id": "100", **params})


def body(**changes: str) -> Json:
    return {"restoreBackupContext": {"backupRunId": "100", "instanceId": "db", "project": "my-project", **changes}}


def test_restores_and_waits(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", BACKUP, GOOD)
    cloud.get("sql", INSTANCE, {"databaseVersion": "POSTGRES_17"})
    cloud.fails("POST", "sql", f"{INSTANCE}/restoreBackup", 409, "operationInProgress", body=body())
    cloud.mutates("POST", "sql", f"{INSTANCE}/restoreBackup", body=body())
    result = run(play)
    assert result["changed"]
    assert result["backup"] == GOOD
    assert "2026-11-01" in result["diff"]["after"]["data"]


def test_a_plan_looks_at_both(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", BACKUP, GOOD)
    cloud.get("sql", INSTANCE, {"databaseVersion": "POSTGRES_17"})
    assert run(play, check=True)["changed"]


def test_of_another_instance_and_project(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", "v1/projects/old/instances/their/backupRuns/100", GOOD)
    cloud.get("sql", INSTANCE, {"databaseVersion": "POSTGRES_17"})
    desired = body(instanceId="their", project="old")
    cloud.mutates("POST", "sql", f"{INSTANCE}/restoreBackup", body=desired)
    assert run(play, backup_instance="their", backup_project="old")["changed"]


@pytest.mark.parametrize(
    ("backup", "instance", "word"),
    [
        (None, None, "Cannot find backup 100 of Cloud SQL instance my-project/db"),
        (GOOD | {"status": "FAILED"}, None, "its status is FAILED, not SUCCESSFUL"),
        (
            GOOD,
            {"name": "db", "databaseVersion": "POSTGRES_17", "settings": {"activationPolicy": "NEVER"}},
            "gcloud sql instances patch db --activation-policy=ALWAYS",
        ),
        (GOOD, {"databaseVersion": "POSTGRES_16"}, "has version POSTGRES_17, but instance db has version POSTGRES_16"),
    ],
)
def test_refuses_invalid_arguments(
    cloud: Cloud, play: Play, backup: Json | None, instance: Json | None, word: str
) -> None:
    cloud.get("sql", BACKUP, backup)
    if instance:
        cloud.get("sql", INSTANCE, instance)
    result = run(play, fails=True)
    assert word in result["msg"]
    assert not result["changed"]


def test_a_failure_half_way_is_told(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", BACKUP, GOOD)
    cloud.get("sql", INSTANCE, {"databaseVersion": "POSTGRES_17"})
    failure = {"errors": [{"code": "INTERNAL_ERROR", "message": "Failed to restore the backup"}]}
    cloud.mutates("POST", "sql", f"{INSTANCE}/restoreBackup", body=body(), failure=failure)
    result = run(play, fails=True)
    assert "Cannot restore backup 100 into Cloud SQL instance db in project my-project" in result["msg"]
    assert "Failed to restore the backup" in result["msg"]
    assert result["changed"]
