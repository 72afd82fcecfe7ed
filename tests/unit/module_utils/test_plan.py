# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of a run: changes from results of tasks, their summary, and JSON."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._plan import Change, Failure, Plan, change, load

NETWORK = {"before_header": "network n", "after_header": "network n"}
TASK = 'task "Do it"'


@pytest.mark.parametrize(
    ("result", "action", "resource", "fields"),
    [
        ({}, "change", TASK, ()),
        ({"diff": []}, "change", TASK, ()),
        ({"diff": {"prepared": "The following packages will be installed"}}, "change", TASK, ()),
        ({"diff": NETWORK | {"before": {}, "after": {"mtu": 1}}}, "create", "network n", ()),
        ({"diff": NETWORK | {"before": {"mtu": 1}, "after": {}}}, "delete", "network n", ()),
        (
            {
                "diff": NETWORK
                | {
                    "before": {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]},
                    "after": {"a": 1, "b": {"c": 2, "d": 2}, "e": [1, 2]},
                }
            },
            "change",
            "network n",
            ("b.c", "e"),
        ),
        ({"diff": {"before": {"a": 1}, "after": {"a": 2}}}, "change", TASK, ()),
        ({"diff": [{"before_header": "/f", "before": "", "after_header": "", "after": ""}]}, "change", "file /f", ()),
        (
            {"diff": [{"before": "", "after_header": "/t", "after": "b"}], "invocation": {"dest": "/f"}},
            "create",
            "file /f",
            (),
        ),
        ({"diff": [{"before": "", "after_header": "/f", "after": "b"}]}, "create", "file /f", ()),
        (
            {"diff": {"before": {"path": "/d", "state": "absent"}, "after": {"path": "/d", "state": "directory"}}},
            "create",
            "file /d",
            (),
        ),
        (
            {"diff": {"before": {"path": "/d", "state": "file"}, "after": {"path": "/d", "state": "absent"}}},
            "delete",
            "file /d",
            (),
        ),
        (
            {"diff": {"before": {"path": "/d", "mode": "0644"}, "after": {"path": "/d", "mode": "0600"}}},
            "change",
            "file /d",
            ("mode",),
        ),
    ],
)
def test_change_of_a_result(result: dict[str, Any], action: str, resource: str, fields: tuple[str, ...]) -> None:
    assert change(result, "Do it", "vm") == Change(action, resource, fields, "vm")


def test_several_changes_of_one_resource_are_one() -> None:
    plan = Plan()
    for each in (
        Change("create", "secret s"),
        Change("change", "secret s", ("version",)),
        Change("change", "network n", ("mtu",)),
        Change("change", "network n", ("mtu", "routingMode")),
        Change("change", "network n", ("mtu",), "vm"),
        Change("delete", "bucket b"),
    ):
        plan.add(each)
    plan.failures.append(Failure("Create the VM", "HTTP 403"))
    assert plan.text().splitlines() == [
        "Plan: 1 to create, 2 to change, 1 to delete",
        "  create secret s",
        "  change network n: mtu, routingMode",
        "  change vm: network n: mtu",
        "  delete bucket b",
        "  The plan is incomplete. Failed: Create the VM: HTTP 403",
    ]
    assert load(f"{plan.dump()}\nanother line\n") == plan


@pytest.mark.parametrize("text", ["", "no plan", '{"changes": '])
def test_no_plan_is_found(text: str) -> None:
    assert load(text) is None
