# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`make bench` fails if a measurement violates a requirement."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.container import broken

SWITCHES = 200


def report() -> dict[str, Any]:
    """Return the report of a run that meets all requirements."""
    return {
        "upgrade": {
            "result": {"ok": True, "cause": None},
            "changed_tables": {},
            "downtime_told_seconds": 26.5,
            "downtime_seen_seconds": 26.4,
            "load": {"lost": 0, "wrong": [], "twice": 0},
        },
        "switches": {
            "switches": SWITCHES,
            "probe": {"failed": 0},
            "load": {"lost": 0, "wrong": [], "twice": 0},
        },
    }


def test_a_run_that_meets_all_requirements() -> None:
    assert broken(report(), SWITCHES) == []


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("upgrade", {"result": {"ok": False, "cause": "no room"}}, "the upgrade failed: no room"),
        ("upgrade", {"changed_tables": {"runs": "x"}}, "tables or artifacts changed: runs"),
        ("upgrade", {"downtime_seen_seconds": 30.0}, "downtime measured: 30.0 s, reported: 26.5 s"),
        ("upgrade", {"downtime_seen_seconds": 0.0}, "downtime measured: 0.0 s, reported: 26.5 s"),
        ("upgrade", {"load": {"lost": 1, "wrong": [], "twice": 0}}, "calls of clients, upgrade: {'lost': 1}"),
        ("switches", {"load": {"lost": 0, "wrong": ["r"], "twice": 2}}, "switches: {'wrong': ['r'], 'twice': 2}"),
        ("switches", {"probe": {"failed": 3}}, "3 requests failed in a cutover"),
        ("switches", {"switches": 143}, "143 of 200 cutovers in the time limit"),
    ],
)
def test_each_violated_requirement_is_reported(part: str, changes: dict[str, Any], words: str) -> None:
    measured = report()
    measured[part] |= changes
    (told,) = broken(measured, SWITCHES)
    assert words in told
