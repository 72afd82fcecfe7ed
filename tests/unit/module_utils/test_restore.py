# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of a restore, the check of its rows, and the reports of backups, restores and drills."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.backup_report import backup_report
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _restore

THEN = {"mlflow": {"tables": {"runs": [5, "x"], "tags": [1, "y"]}, "revision": "r1"}, "auth": {"tables": {}}}
RECORD: dict[str, Any] = {
    "name": "monday",
    "time": "2026-11-21T13:42:45.085Z",
    "release": {"version": "3.16.0"},
    "rows": {"before": THEN},
}
OBJECTS = {"same": 3, "copied": 2, "copied_bytes": 1400, "other": 1, "lost": 0, "read": 1, "read_bytes": 1024}
ARTIFACTS: dict[str, Any] = {"objects": OBJECTS, "lost": []}
LOST: dict[str, Any] = {"objects": OBJECTS | {"lost": 6}, "lost": [str(number) for number in range(6)]}


def databases(runs: int = 6, revision: str = "r1", **more: Any) -> dict[str, Any]:
    tables = {"runs": [runs, "z"], "tags": [2, "z"], **more}
    return {"mlflow": {"tables": tables, "revision": revision}, "auth": {"tables": {}}}


def plan(
    rows: dict[str, Any] | None = None,
    *,
    record: dict[str, Any] = RECORD,
    version: str = "3.18.0",
    artifacts: dict[str, Any] = ARTIFACTS,
    **options: Any,
) -> dict[str, Any]:
    usual = {"others": "keep", "migrate": False, "backup_first": True, "earlier_backup": ""}
    named = {"deployment": "my-project/mlflow", "source": "old-project/mlflow"}
    result = {"version": version, "databases": rows or databases()}
    return _restore.plan(record, result, artifacts, **named, **usual | options)


def test_the_consequences_of_a_restore() -> None:
    assert plan()["consequences"] == (
        "my-project/mlflow would be restored from backup monday of old-project/mlflow, created at"
        " 2026-11-21T13:42:45.085Z. Data that was logged, registered or changed since then is lost: runs 6 now, 5 then."
        " Artifacts: 2 are restored, 3 are unchanged, 1 that the backup does not contain are kept. The current data is"
        " backed up first. Data that clients log during this backup is lost. The server is in maintenance mode during"
        " the restore."
    )
    assert (plan()["problem"], plan()["same_schema"]) == ("", True)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"rows": databases(5)}, "since then is lost. Artifacts"),
        ({"rows": databases(5, logged_models=[4, "z"])}, "is lost: logged models 4 now, ? then."),
        ({"others": "delete"}, "1 that the backup does not contain are deleted (they stay as noncurrent versions)."),
        ({"artifacts": LOST}, "are kept, 6 are lost and cannot be restored: 0, 1, 2, 3, 4."),
        ({"backup_first": False}, "The restore cannot be undone, because backup_restore_backup_first is false."),
        ({"earlier_backup": "b"}, "The data from before the interrupted restore is in backup b. The server"),
    ],
)
def test_the_consequences_depend_on_data_and_options(options: dict[str, Any], part: str) -> None:
    assert part in plan(**options)["consequences"]


@pytest.mark.parametrize(
    ("installed", "migrate", "problem"),
    [
        ("3.18.0", False, "To migrate the restored database to the schema of MLflow 3.18.0, add"),
        ("3.18.0", True, ""),
        ("3.9.0", False, "set mlflow_version to 3.16.0 and run playbooks/upgrade.yml. Nothing was changed."),
        ("3.9.0", True, "set mlflow_version to 3.16.0 and run playbooks/upgrade.yml. Nothing was changed."),
    ],
    ids=["older", "older, migrated", "newer", "newer, migrated"],
)
def test_a_backup_with_another_schema(installed: str, migrate: bool, problem: str) -> None:
    found = plan(databases(revision="r2"), version=installed, migrate=migrate)
    assert found["same_schema"] is False
    assert (problem in found["problem"]) if problem else found["problem"] == ""
    if problem:
        assert f"Backup monday was made by MLflow 3.16.0, and MLflow {installed} with another" in found["problem"]


def test_a_backup_without_row_counts_has_an_unknown_schema() -> None:
    unknown = RECORD | {"rows": {"before": {}}, "release": {"version": ""}}
    assert (plan(record=unknown)["same_schema"], plan(record=unknown)["problem"]) == (True, "")


@pytest.mark.parametrize(
    ("compared", "accept", "summary", "problem"),
    [
        (None, None, "7 rows in 3 tables, 0 tables equal to the backup", ""),
        (
            {"wrong": [], "exact": 2, "between": 1},
            None,
            "7 rows in 3 tables, 2 tables equal to the backup, 1 changed during the backup and within its limits",
            "",
        ),
        (
            {"wrong": ["a", "b"], "exact": 1, "between": 0},
            True,
            "7 rows in 3 tables, 1 tables equal to the backup, different but accepted: a; b",
            "",
        ),
        (
            {"wrong": ["a"], "exact": 1, "between": 0},
            False,
            None,
            "The restored rows differ from the rows of backup monday: a. To start the server in spite of the"
            " differences, add -e backup_restore_accept_rows=true.",
        ),
        (
            {"wrong": list("abcdefg"), "exact": 1, "between": 0},
            None,
            None,
            "The restored rows differ from the rows of backup monday: a; b; c; d; e and 2 more.",
        ),
    ],
    ids=["not compared", "equal", "accepted", "restore", "drill"],
)
def test_restored_rows(compared: Any, accept: bool | None, summary: str | None, problem: str) -> None:
    result = {"databases": {"m": {"tables": {"a": [3, ""], "b": [4, ""]}}, "n": {"tables": {"c": [0, ""]}}}}
    found = _restore.restored_rows(result | {"compared": compared}, backup="monday", accept=accept)
    assert found["problem"] == problem
    if summary:
        assert found["summary"] == summary


CREATED: dict[str, Any] = {
    "name": "monday",
    "deployment": "my-project/mlflow",
    "time": "2026-11-21T13:42:45.085Z",
    "run": "99",
    "rows": THEN,
    "objects": 5,
    "bytes": 3500,
    "url": "gs://my-backups/backups/monday",
    "seconds": 26.7,
}


def test_the_report_of_a_backup() -> None:
    assert backup_report(CREATED, "created") == (
        "Created backup monday of my-project/mlflow in 27 s: database of 2026-11-21T13:42:45.085Z (backup run 99,"
        " 6 rows), 5 artifacts of 3.42 KB, recorded in gs://my-backups/backups/monday. To restore it: ansible-playbook"
        " playbooks/restore.yml -e backup_name=monday -e backup_restore_confirm=my-project/mlflow"
    )
    assert "(backup run 99), 5" in backup_report(CREATED | {"rows": {}}, "created")


def test_the_report_of_a_restore() -> None:
    restore = {
        "deployment": "my-project/mlflow",
        "name": "monday",
        "time": "2026-11-21T13:42:45.085Z",
        "rows": "ROWS",
        "artifacts": ARTIFACTS,
        "stopped": "ActiveState=inactive\nInactiveEnterTimestamp=@1000",
        "end": 1045.6,
        "undo": "before-restore-1",
    }
    told = (
        "my-project/mlflow has the data of 2026-11-21T13:42:45.085Z (backup monday): ROWS, 2 artifacts of 1.37 KB"
        " restored, 3 unchanged. The server was in maintenance mode for 46 s."
    )
    undo = " To undo the restore: -e backup_name=before-restore-1 -e backup_restore_confirm=my-project/mlflow"
    assert backup_report(restore, "restored") == told + undo
    assert backup_report(restore | {"undo": ""}, "restored") == told
    assert "mode for an unknown time." in backup_report(restore | {"stopped": "ActiveState=active"}, "restored")
    assert "3 unchanged, 6 are lost and cannot" in backup_report(restore | {"artifacts": LOST}, "restored")


def test_the_report_of_a_drill() -> None:
    drill = {
        "name": "monday",
        "newest": "1970-01-01T00:01:40.500Z",
        "begin": 200.5,
        "end": 235.9,
        "rows": "ROWS",
        "artifacts": ARTIFACTS,
        "instance": "mlflow-drill-x",
        "bucket": "my-drill-x",
    }
    assert backup_report(drill, "drilled") == (
        "Backup monday can be restored. RPO 100 s: the age of the newest backup at the start of this drill. RTO 35 s:"
        " the duration of restore and comparison. Rows: ROWS. Artifacts: 2 of 1.37 KB have the checksums of the backup;"
        " 1 of them, 1.00 KB, were read and are identical. mlflow-drill-x and my-drill-x are deleted."
    )
