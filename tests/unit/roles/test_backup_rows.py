# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The row counts of a backup and their comparison. The end-to-end tests run the queries."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.programs import load


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the program with a fake driver. Only a release on the VM has the real one."""
    driver = ModuleType("psycopg2")
    driver.sql = ModuleType("psycopg2.sql")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    monkeypatch.setitem(sys.modules, "psycopg2.sql", driver.sql)  # type: ignore[attr-defined]
    return load("backup", "rows")


def counted(**tables: list[Any]) -> dict[str, Any]:
    return {"mlflow": {"tables": tables, "revision": "r1"}}


SAME = {"before": counted(runs=[3, "7"], tags=[1, "1"]), "after": counted(runs=[3, "7"], tags=[1, "1"])}
MOVED = {"before": counted(runs=[3, "7"]), "after": counted(runs=[5, "9"])}


def test_equal(rows: Any) -> None:
    assert rows.differences(SAME, SAME["before"]) == {"wrong": [], "exact": 2, "between": 0}


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (counted(runs=[2, "7"], tags=[1, "1"]), "mlflow.runs: 2 rows (checksum 7), was 3 rows (checksum 7)"),
        (counted(runs=[3, "8"], tags=[1, "1"]), "mlflow.runs: 3 rows (checksum 8)"),
        (counted(runs=[3, "7"]), "mlflow.tags: not there"),
        (counted(runs=[3, "7"], tags=[1, "1"], more=[0, "0"]), "mlflow.more: 0 rows (checksum 0), was not there"),
        ({"mlflow": {"tables": SAME["before"]["mlflow"]["tables"], "revision": "r2"}}, "mlflow: schema r2, was r1"),
        ({}, "mlflow: schema None, was r1"),
    ],
)
def test_different(rows: Any, found: dict[str, Any], word: str) -> None:
    assert any(said.startswith(word) for said in rows.differences(SAME, found)["wrong"])


@pytest.mark.parametrize(("was", "now"), [([3, "7"], [3, None]), ([3, None], [3, "7"]), ([3, None], [3, None])])
def test_only_numbers_are_compared_where_a_side_has_no_checksums(rows: Any, was: list[Any], now: list[Any]) -> None:
    expected = {"before": counted(runs=was), "after": counted(runs=was)}
    assert rows.differences(expected, counted(runs=now)) == {"wrong": [], "exact": 1, "between": 0}
    (wrong,) = rows.differences(expected, counted(runs=[2, now[1]]))["wrong"]
    assert wrong.startswith("mlflow.runs: 2 rows")
    assert "None" not in wrong


@pytest.mark.parametrize(("number", "good"), [(2, False), (3, True), (4, True), (5, True), (6, False)])
def test_a_table_that_was_written_to_meanwhile_has_bounds(rows: Any, number: int, good: bool) -> None:
    found = rows.differences(MOVED, counted(runs=[number, "8"]))
    assert (found["wrong"] == []) is good
    assert (found["exact"], found["between"]) == (0, 1)


def options(**given: str) -> argparse.Namespace:
    return argparse.Namespace(**{"host": "", "authority": "", "user": "", "session": "", **given})


def test_connects_as_the_server_does(rows: Any, tmp_path: Path) -> None:
    (tmp_path / "mlflow.database-uri").write_text(
        "postgresql+psycopg2://mlflow:p%40ss@10.0.0.3/mlflow?sslmode=verify-ca&options=-crole%3Dmlflow_owner\n"
    )
    (tmp_path / "mlflow.database-ca").write_text("PEM")
    found = rows.arguments_of(tmp_path, options())
    assert (found["user"], found["password"], found["host"], found["dbname"]) == (
        "mlflow",
        "p@ss",
        "10.0.0.3",
        "mlflow",
    )
    assert found["options"] == "-crole=mlflow_owner"
    assert found["sslmode"] == "verify-ca"
    assert found["sslrootcert"] == str(tmp_path / "mlflow.database-ca")


def test_connects_elsewhere_as_the_user_of_the_backup(rows: Any, tmp_path: Path) -> None:
    (tmp_path / "mlflow.database-uri").write_text(
        "postgresql+psycopg2://mlflow_alternate:pass@10.0.0.3/mlflow?sslmode=verify-ca&options=-crole%3Dmlflow_owner"
    )
    found = rows.arguments_of(tmp_path, options(host="10.0.0.9", user="mlflow"))
    assert (found["host"], found["user"], found["password"]) == ("10.0.0.9", "mlflow", "pass")
    assert "options" not in found
    again = rows.arguments_of(tmp_path, options(host="10.0.0.9", user="mlflow", session="-crole=mlflow_owner"))
    assert again["options"] == "-crole=mlflow_owner"


@pytest.mark.parametrize("text", [None, "not an address: secret"])
def test_names_the_missing_value_and_no_secret(rows: Any, tmp_path: Path, text: str | None) -> None:
    if text:
        (tmp_path / "mlflow.database-uri").write_text(text)
    with pytest.raises(rows.RowsError) as error:
        rows.arguments_of(tmp_path, options())
    assert "mlflow.database-uri" in str(error.value)
    assert "secret" not in str(error.value)
