# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The row counts of a backup and their comparison. The end-to-end tests run the queries."""

from __future__ import annotations

from typing import Any

import pytest
from mlflowctl import rows


def counted(**tables: list[Any]) -> dict[str, Any]:
    return {"mlflow": {"tables": tables, "revision": "r1"}}


SAME = {"before": counted(runs=[3, "7"], tags=[1, "1"]), "after": counted(runs=[3, "7"], tags=[1, "1"])}
MOVED = {"before": counted(runs=[3, "7"]), "after": counted(runs=[5, "9"])}


def test_equal() -> None:
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
def test_different(found: dict[str, Any], word: str) -> None:
    assert any(said.startswith(word) for said in rows.differences(SAME, found)["wrong"])


@pytest.mark.parametrize(("was", "now"), [([3, "7"], [3, None]), ([3, None], [3, "7"]), ([3, None], [3, None])])
def test_only_numbers_are_compared_where_a_side_has_no_checksums(was: list[Any], now: list[Any]) -> None:
    expected = {"before": counted(runs=was), "after": counted(runs=was)}
    assert rows.differences(expected, counted(runs=now)) == {"wrong": [], "exact": 1, "between": 0}
    (wrong,) = rows.differences(expected, counted(runs=[2, now[1]]))["wrong"]
    assert wrong.startswith("mlflow.runs: 2 rows")
    assert "None" not in wrong


@pytest.mark.parametrize(("number", "good"), [(2, False), (3, True), (4, True), (5, True), (6, False)])
def test_a_table_that_was_written_to_meanwhile_has_bounds(number: int, good: bool) -> None:
    found = rows.differences(MOVED, counted(runs=[number, "8"]))
    assert (found["wrong"] == []) is good
    assert (found["exact"], found["between"]) == (0, 1)
