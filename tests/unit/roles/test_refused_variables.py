# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bad values of role variables are refused with the variable, the value and the remedy.

tests/localcloud/playbooks proves that each playbook runs these checks before its first change.
tests/unit/plugin_utils/_validation/ has the cases of the roles whose checks are Python functions.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import AUTHENTICATIONS
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import CHECKS

from tests.unit.roles.evaluated import described, load, render
from tests.unit.roles.validation import refusals

TYPE = "were unable to convert to int"
# Role, variables, and expected parts of the message.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "infrastructure, type": (
        "infrastructure",
        {"infrastructure_boot_disk_size_gb": "big"},
        ["infrastructure_boot_disk_size_gb", TYPE],
    ),
    "rotate": ("rotate", {"rotate_database_patience": 0}, ["rotate_database_patience (0) must be at least 1"]),
    "gc, age": ("gc", {"gc_older_than": "a month"}, ["gc_older_than is 'a month'", "such as 30d"]),
    "gc, ID": ("gc", {"gc_run_ids": ["a b"]}, ["gc_run_ids is ['a b']"]),
    "gc, timer": (
        "gc",
        {"gc_calendar": "Sun 04:00", "gc_run_ids": ["abc"]},
        ["gc_calendar is 'Sun 04:00'", "Leave out gc_run_ids"],
    ),
    "upgrade, choice": ("upgrade", {"upgrade_channel": "newest"}, ["upgrade_channel must be one of", "newest"]),
    "upgrade, type": ("upgrade", {"upgrade_timeout_seconds": "long"}, ["upgrade_timeout_seconds", TYPE]),
}


@functools.cache
def deployment() -> dict[str, Any]:
    return described()


@pytest.mark.parametrize("case", CASES)
def test_a_bad_value_is_refused(case: str) -> None:
    role, settings, words = CASES[case]
    said = refusals(role, known={"mlflow_deployment": deployment()}, **settings)
    assert len(said) == 1, said
    assert [word for word in words if word not in said[0]] == [], said[0]


@pytest.mark.parametrize("role", sorted({role for role, _, _ in CASES.values()} - {"infrastructure"}))
def test_the_defaults_are_accepted(role: str) -> None:
    assert refusals(role, known={"mlflow_deployment": deployment()}) == []


def test_ssh_from_everywhere_is_refused() -> None:
    said = refusals("infrastructure", tasks="main", infrastructure_ssh_source_ranges=["0.0.0.0/0"])[0]
    assert "infrastructure_ssh_source_ranges is ['0.0.0.0/0']" in said
    assert "such as 203.0.113.7/32" in said


def test_a_backup_that_keeps_nothing_is_refused() -> None:
    (said,) = refusals("backup", tasks="preflight", known={"mlflow_deployment": deployment()}, backup_keep=0)
    assert said.startswith("backup_keep is 0. Set backup_keep to at least 1")


def test_provision_runs_the_checks_of_each_role_on_the_vm() -> None:
    """Otherwise a bad value would be found after the resources were created."""
    checks = [
        task["mlops.mlflow_gcp.role_variables"]
        for block in load("tasks/validate.yml", "infrastructure")
        for task in block["block"]
        if "mlops.mlflow_gcp.role_variables" in task
    ]
    (roles,) = (render(check["roles"], {"mlflow_deployment": deployment()}) for check in checks)
    others = {mode.role for mode in AUTHENTICATIONS.values() if mode.name != deployment()["authentication"]["name"]}
    assert sorted(roles) == sorted(set(CHECKS) - others)
