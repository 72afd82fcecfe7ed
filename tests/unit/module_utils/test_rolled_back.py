# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The records of releases that were rolled back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.release_record import FilterModule
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._rolled_back import rolled_back


def test_both_records_count_and_the_vm_has_the_time() -> None:
    recorded = {"rolled_back_from": "3.18.0", "since": "later", "skipped": ["3.18.0", "3.19.0"]}
    assert rolled_back({"version": "3.18.0", "since": "today"}, recorded) == {"3.18.0": "today", "3.19.0": ""}
    assert rolled_back(None, recorded) == {"3.18.0": "later", "3.19.0": ""}
    assert rolled_back(None, None) == {}


@pytest.mark.parametrize(
    ("deployed", "vm", "recorded", "written"),
    [
        ({"version": "3.17.3"}, {"version": "3.18.0"}, {}, {"skipped": ["3.18.0"]}),
        (
            {"version": "3.17.3"},
            None,
            {"rolled_back_from": "3.18.1", "skipped": ["3.17.10", "3.18.0"]},
            {"skipped": ["3.18.1", "3.17.10", "3.18.0"]},
        ),
        ({"version": "3.18.0"}, {"version": "3.18.0"}, {"rolled_back_from": "3.18.0"}, {}),
        (
            {"version": "3.17.2", "rolled_back_from": "3.18.1"},
            None,
            {"skipped": ["3.18.0"]},
            {"rolled_back_from": "3.18.1", "skipped": ["3.18.0"]},
        ),
    ],
    ids=["recorded by the VM", "recorded for the deployment", "upgraded again", "rolled back again"],
)
def test_a_rolled_back_release_stays_recorded_after_another_upgrade(
    deployed: dict[str, str], vm: dict[str, str] | None, recorded: dict[str, Any], written: dict[str, Any]
) -> None:
    """The VM does not record the release any more, and 3.18.0 would be selected next."""
    record = FilterModule().filters()["release_record"](deployed, vm, recorded, requirements="locked", since="today")
    nothing = {"rolled_back_from": "", "skipped": []}
    assert record == {
        "version": deployed["version"],
        "since": "today",
        "requirements": "locked",
        **nothing,
        **written,
    }
