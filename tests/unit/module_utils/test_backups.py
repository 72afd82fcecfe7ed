# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The selection of a backup, and the backups to delete."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.backup_expiry import FilterModule as Expiry
from ansible_collections.mlops.mlflow_gcp.plugins.filter.backup_selection import FilterModule as Selection
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _backups

OURS, THEIRS = "my-project/mlflow", "my-project/sibling"
NOW = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)


def record(name: str, day: int, deployment: str = OURS) -> dict[str, Any]:
    return {
        "format": _backups.FORMAT,
        "name": name,
        "deployment": deployment,
        "time": f"2026-11-{day:02}T00:00:00.000Z",
        "database": {"description": f"mlflow backup {name}"},
    }


def select(*records: dict[str, Any], name: str = "", deployment: str = OURS) -> Any:
    objects = [{"content": json.dumps(each)} for each in records]
    selection = Selection().filters()["backup_selection"]
    return selection(objects, name=name, deployment=deployment, bucket="my-backups")


def test_the_newest_regular_backup_of_the_deployment_is_selected() -> None:
    records = [record("a", 1), record("c", 3), record("before-restore-x", 4), record("theirs", 5, THEIRS)]
    found = select(*records)
    assert (found["backup"]["name"], found["newest"], found["problem"]) == ("c", "2026-11-03T00:00:00.000Z", "")
    found = select(*records, name="before-restore-x")
    assert (found["backup"]["name"], found["newest"], found["problem"]) == (
        "before-restore-x",
        "2026-11-03T00:00:00.000Z",
        "",
    )
    assert select(*records, deployment=THEIRS)["backup"]["name"] == "theirs"
    only = select(records[2], name="before-restore-x")
    assert only["newest"] == "2026-11-04T00:00:00.000Z", "a drill of the only backup"


def test_a_record_of_another_format_is_no_backup() -> None:
    assert "There is no backup 'a'" in select(record("a", 1) | {"format": "other"}, name="a")["problem"]


@pytest.mark.parametrize(
    ("records", "name", "parts"),
    [
        ([], "", ["There is no backup of my-project/mlflow in gs://my-backups/backups. Create a backup with"]),
        (
            [record("a", 1), record("b", 2)],
            "c",
            ["There is no backup 'c' of my-project/mlflow", "Existing backups: b, a. Set backup_name to one of them."],
        ),
        (
            [record("a", 1), record("c", 1, THEIRS), record("d", 1, "x/y")],
            "c",
            [
                "The backup of this name belongs to my-project/sibling. To use such a backup, add"
                " -e backup_restore_from=my-project/sibling -e backup_restore_bucket=my-backups to the command.",
                "Existing backups: a.",
            ],
        ),
        (
            [record("c", 1, THEIRS), record("d", 1, "x/y"), record("before-restore-1", 1, "z/z")],
            "",
            [
                "The bucket has backups of my-project/sibling, x/y. To use such a backup, add"
                " -e backup_restore_from=PROJECT/NAME",
                "Create a backup",
            ],
        ),
    ],
    ids=["no backup", "another name", "of another deployment", "of other deployments"],
)
def test_a_backup_that_does_not_exist(records: list[dict[str, Any]], name: str, parts: list[str]) -> None:
    found = select(*records, name=name)
    assert found["backup"] == {}
    for part in (*parts, "set backup_restore_bucket"):
        assert part in found["problem"]


@pytest.mark.parametrize(
    ("records", "keep", "old"),
    [
        ([record("c", 9), record("before-restore-1", 8)], 2, []),
        ([record("c", 9), record("b", 8), record("a", 7), record("before-restore-1", 6)], 2, ["a", "before-restore-1"]),
        (
            [record("c", 9), record("before-restore-1", 8), record("b", 7), record("before-restore-2", 6)],
            1,
            ["b"],
        ),
    ],
    ids=["too few backups", "older than all kept backups", "in use"],
)
def test_backups_of_replaced_data_do_not_count(records: list[dict[str, Any]], keep: int, old: list[str]) -> None:
    names = [each["name"] for each in _backups.expired(records, keep=keep, in_use=["before-restore-2"])]
    assert names == (old if keep == 2 else ["b", "before-restore-1"])


def expire(*records: dict[str, Any], runs: list[dict[str, Any]], planned: str = "", keep: int = 1) -> Any:
    found = _backups.expiry(
        records, runs, deployment=OURS, keep=keep, in_use=["", ""], planned=planned, prefix="mlflow backup ", now=NOW
    )
    return [each["name"] for each in found["backups"]], found["unrecorded"]


def test_a_planned_backup_counts() -> None:
    records = [record("a", 1), record("b", 2), record("theirs", 3, THEIRS)]
    assert expire(*records, runs=[]) == (["a"], [])
    assert expire(*records, runs=[], planned="c") == (["b", "a"], [])


def run(description: str, day: int = 9, **changes: str) -> dict[str, str]:
    time = f"2026-11-{day:02}T12:00:00.000Z"
    return {"type": "ON_DEMAND", "status": "SUCCESSFUL", "description": description, "enqueuedTime": time} | changes


def test_only_cloud_sql_backups_of_this_role_without_a_record_are_deleted() -> None:
    runs = [
        run("mlflow backup interrupted"),
        run("mlflow backup interrupted", status="FAILED"),
        run("mlflow backup a"),
        run("mlflow backup in progress", day=30),
        run("mlflow backup older than all records", day=1),
        run("mlflow backup deleted", status="DELETED"),
        run("mlflow upgrade 3.1.0"),
        run("mlflow backup automatic", type="AUTOMATED"),
        {"type": "ON_DEMAND", "status": "SUCCESSFUL"},
    ]
    assert expire(record("a", 2), runs=runs) == ([], ["mlflow backup interrupted"])
    assert expire(runs=runs) == ([], []), "without a record, every backup may have a record in another bucket"


def test_the_filter_passes_its_options() -> None:
    objects = [{"content": json.dumps(record(name, day))} for name, day in (("a", 1), ("b", 2))]
    found = Expiry().filters()["backup_expiry"](
        objects, [], deployment=OURS, keep="1", in_use=[], planned="", prefix="mlflow backup "
    )
    assert [each["name"] for each in found["backups"]] == ["a"]
