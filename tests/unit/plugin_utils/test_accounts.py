# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The secrets of users, and the part of the fact that the roles need."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._formats import secret_id as wrong_secret
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _authentication
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._accounts import secret_id

from tests.unit.roles.evaluated import described


@pytest.mark.parametrize(
    "name", ["alice", "Alice_B-c", "alice@example.com", "alice.example.com", "Ängström", "@", "x" * 255]
)
def test_each_name_has_a_possible_secret(name: str) -> None:
    found = secret_id("mlflow", name)
    assert wrong_secret(found) == ""
    assert found.startswith("mlflow-user-")


def test_different_names_have_different_secrets() -> None:
    names = ["alice", "alice@example.com", "alice.example.com", "alice-example-com", "Alice", "@", ".", "x" * 254 + "@"]
    assert len({secret_id("mlflow", name) for name in names}) == len(names)
    assert secret_id("mlflow", "alice") == "mlflow-user-alice"


def test_the_fact_lists_the_users() -> None:
    users: list[Any] = [
        {"name": "alice", "secret_accessors": ["user:alice@example.com"], "roles": ["readers"]},
        {"name": "carol", "state": "absent"},
    ]
    fact = described(mlflow_users=users, deployment_name="team")
    assert fact["users"] == [
        {
            "name": "alice",
            "state": "present",
            "secret": "team-user-alice",
            "has_password": True,
            "secret_accessors": ["user:alice@example.com"],
        },
        {
            "name": "carol",
            "state": "absent",
            "secret": "team-user-carol",
            "has_password": True,
            "secret_accessors": [],
        },
    ]
    assert fact["release"]["required"] == {"version": "3.12.0", "variables": "mlflow_users"}
    assert not set(fact["vm_secrets"]) & {user["secret"] for user in fact["users"]}


def test_without_entries_every_release_is_possible() -> None:
    fact = described()
    assert (fact["users"], fact["release"]["required"]) == ([], {"version": "", "variables": ""})


def test_a_mode_with_a_single_sign_on_generates_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(_authentication.BASIC, single_sign_on=True)
    monkeypatch.setattr(_authentication, "AUTHENTICATIONS", {"basic": other})
    fact = described(mlflow_users=[{"name": "alice@example.com"}])
    assert not fact["users"][0]["has_password"]
    assert fact["release"]["required"] == {"version": "3.15.0", "variables": "mlflow_authentication and mlflow_users"}
    assert described()["release"]["required"]["version"] == "3.15.0"


@pytest.mark.parametrize("value", ["alice", None, ["alice"], [{"name": 7}], [{"name": "a", "permissions": "READ"}]])
def test_the_argument_specification_reports_a_wrong_type(value: Any) -> None:
    """The fact is computed before the specification is checked, and must not fail with a traceback."""
    fact = described(mlflow_users=value, mlflow_roles=value)
    assert [user["name"] for user in fact["users"]] in ([], ["a"])
