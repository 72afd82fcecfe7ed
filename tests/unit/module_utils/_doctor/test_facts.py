# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Checks without the facts of the VM, or without a part of the facts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor import database, server, vm
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.facts import facts_of
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

NO_FACTS = {"error": "Permission denied (publickey)"}
CHECKS = {
    "disk": lambda facts: vm.disk(facts, 80, 90),
    "units": vm.units,
    "server": server.server,
    "schema": server.schema,
    "encryption": server.encryption,
    "signed-urls": server.signed_urls,
    "connections": lambda facts: database.connections(facts, 70, 90),
    "database-disk": lambda facts: database.database_disk(facts, {}, 80, 90),
}
PARTS = {
    "disk": "disks",
    "units": "units",
    "server": "switch",
    "schema": "heads",
    "encryption": "encryption",
    "signed-urls": "signed_urls",
    "connections": "size",
    "database-disk": "size",
}


@pytest.mark.parametrize("name", CHECKS)
def test_no_facts(name: str) -> None:
    with pytest.raises(NotCheckedError, match="the facts of the VM cannot be read") as error:
        CHECKS[name](NO_FACTS)
    assert error.value.remedy == "see the check vm"


@pytest.mark.parametrize("name", CHECKS)
def test_a_missing_part(name: str) -> None:
    with pytest.raises(NotCheckedError, match=r"schema\.py ended with 1"):
        CHECKS[name]({PARTS[name]: {"error": "schema.py ended with 1"}})
    with pytest.raises(NotCheckedError, match="reported nothing"):
        CHECKS[name]({})


ANSWER: dict[str, Any] = {"vm": "my-project/mlflow-server", "asked_at": 1.0, "answered_at": 2.0}


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        (None, {"error": "the facts of the VM were not collected"}),
        (ANSWER | {"response": {}}, {"error": "the inventory has no running VM my-project/mlflow-server"}),
        (ANSWER | {"response": {"unreachable": True, "msg": "Connection refused"}}, {"error": "Connection refused"}),
        (ANSWER | {"response": {"rc": 1, "msg": "not installed"}}, {"error": "not installed"}),
        (ANSWER | {"response": {"rc": 1, "msg": ""}}, {"error": "no answer"}),
        (
            ANSWER | {"response": {"rc": 0, "result": {"disks": []}}},
            {"disks": [], "asked_at": 1.0, "answered_at": 2.0},
        ),
    ],
    ids=["not requested", "no VM", "unreachable", "failed", "no message", "facts"],
)
def test_the_facts_of_an_answer(answer: dict[str, Any] | None, facts: dict[str, Any]) -> None:
    assert facts_of(answer) == facts
