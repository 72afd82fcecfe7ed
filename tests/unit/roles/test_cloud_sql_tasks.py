# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The requests of the roles to Cloud SQL: the maintenance window, timeouts, labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.modules import (
    gcp_sql_backup,
    gcp_sql_database,
    gcp_sql_instance,
    gcp_sql_restore,
    gcp_sql_user,
)

ROLES = Path(__file__).resolve().parents[3] / "roles"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = 7 * 24.0


def defaults(role: str) -> Any:
    return yaml.safe_load((ROLES / role / "defaults/main.yml").read_text(encoding="utf-8"))


def overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Return whether two periods of a week overlap. A period is a start and a length in hours."""
    return (second[0] - first[0]) % WEEK < first[1] or (first[0] - second[0]) % WEEK < second[1]


def test_the_maintenance_window_does_not_overlap_the_backup_or_the_upgrade() -> None:
    database, schedule = defaults("infrastructure"), defaults("schedule")
    day, hour = (database[f"infrastructure_database_maintenance_{part}"] for part in ("day", "hour"))
    window = ((day - 1) * 24.0 + hour, 1.0)
    backup = float(database["infrastructure_database_backup_start_time"].split(":")[0])
    assert not any(overlap(window, (24.0 * each + backup, 4.0)) for each in range(7))
    # The calendar uses the time zone of the control node, which may be any time zone.
    weekday, _, time = schedule["schedule_calendar"].partition(" ")
    assert (schedule["schedule_jitter"], schedule["schedule_timeout"]) == ("15min", "3h")
    upgrade = DAYS.index(weekday) * 24.0 + float(time.split(":")[0])
    assert not any(overlap(window, (upgrade - offset, 3.25)) for offset in range(-12, 15))


@pytest.mark.parametrize(
    "resource",
    [
        gcp_sql_instance.SqlInstance,
        gcp_sql_database.SqlDatabase,
        gcp_sql_user.SqlUser,
        gcp_sql_backup.SqlBackup,
        gcp_sql_restore.SqlRestore,
    ],
)
def test_work_of_cloud_sql_may_take_an_hour(resource: Any) -> None:
    assert resource.options["timeout"] == {"type": "int", "default": 3600}


def sql_tasks(tasks: Any) -> Iterator[tuple[str, Any]]:
    """Return every task of a Cloud SQL module, including tasks in blocks, with the module's name and arguments."""
    for task in tasks:
        yield from sql_tasks([*task.get("block", []), *task.get("always", [])])
        yield from ((name, value) for name, value in task.items() if name.startswith("mlops.mlflow_gcp.gcp_sql_"))


@pytest.mark.parametrize(("file", "count"), [("rehearse_migration", 2), ("create_backup", 1)])
def test_an_upgrades_work_has_the_upgrades_time(file: str, count: int) -> None:
    path = ROLES / "upgrade/tasks" / f"{file}.yml"
    found = list(sql_tasks(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert [arguments["timeout"] for _name, arguments in found] == ["{{ upgrade_timeout_seconds }}"] * count
    for name, arguments in found:
        if name.endswith("gcp_sql_instance"):
            assert "'purpose': 'upgrade-rehearsal'" in arguments["settings"]["user_labels"]
