# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Entries of mlflow_users and mlflow_roles that are refused before the first change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._mlflow_grants import (
    OBJECT_TYPES,
    PART_TYPES,
    PERMISSIONS,
    WORKSPACE,
)
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _authentication
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values
from tests.unit.roles.evaluated import ROLES

VALID = {
    "mlflow_hostnames": ["a.example"],
    "mlflow_artifacts_destination": "gs://my-bucket",
    "mlflow_identity_domains": ["example.com"],
}
READERS = {"name": "readers", "permissions": []}


def messages(**changed: Any) -> list[str]:
    return refusals("mlflow", values("mlflow", **VALID | changed), CONTEXT)


def grant(**changed: Any) -> dict[str, Any]:
    entry = {"resource_type": "experiment", "resource_pattern": "*", "permission": "READ"} | changed
    return {key: value for key, value in entry.items() if value is not None}


def role(*permissions: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"mlflow_roles": [{"name": "team", "permissions": list(permissions)} | changed]}


def user(**changed: Any) -> dict[str, Any]:
    return {"mlflow_roles": [READERS], "mlflow_users": [{"name": "alice"} | changed]}


def direct(**changed: Any) -> dict[str, Any]:
    return user(permissions=[grant(resource_pattern=None, **{"resource_id": "1"} | changed)])


def test_an_own_application_has_its_own_accounts() -> None:
    mode = {"mlflow_authentication": "application", "mlflow_app_name": "oidc-auth"}
    (said,) = [text for text in messages(**mode, **user()) if "mlflow_users" in text]
    assert said.endswith("the application has its own accounts. Remove the entries.")


def test_complete_entries_are_valid() -> None:
    roles = [
        {"name": "readers", "description": "Read", "permissions": [grant(), grant(resource_type="run")]},
        {"name": "team", "permissions": [grant(resource_pattern=None, experiment_name="churn", permission="EDIT")]},
        {"name": "old", "state": "absent"},
    ]
    mine = [{"resource_type": "registered_model", "resource_id": "churn", "permission": "MANAGE"}]
    gone = [{"resource_type": "experiment", "experiment_name": "old", "state": "absent"}]
    users = [
        {"name": "alice@example.com", "roles": ["readers", "team"], "permissions": mine + gone, "is_admin": False},
        {"name": "carol", "state": "absent", "roles": ["old"]},
    ]
    assert messages(mlflow_roles=roles, mlflow_users=users) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (user(name="admin"), "mlflow_users: admin is the administrator of the deployment (mlflow_admin_username)"),
        (user(name="a:b"), "mlflow_users: 'a:b' cannot sign in. Choose a name without a colon."),
        (user(name=" "), "mlflow_users: ' ' cannot sign in."),
        (user(roles=["writers"]), "mlflow_users: alice has the role writers, which is not in mlflow_roles."),
        ({"mlflow_users": [{"name": "alice"}] * 2}, "mlflow_users has 2 entries alice. Keep one of them."),
        ({"mlflow_roles": [READERS, READERS]}, "mlflow_roles has 2 entries readers."),
        (role(name="__user_7__"), "mlflow_roles: '__user_7__' is not a possible name of a role."),
        (role(grant(resource_pattern=None)), "permission on experiment: set resource_pattern or experiment_name"),
        (role(grant(experiment_name="x")), "permission on experiment x: set resource_pattern or experiment_name"),
        (
            role(grant(resource_type="prompt", resource_pattern=None, experiment_name="x")),
            "mlflow_roles: team, permission on prompt x: experiment_name names only an experiment.",
        ),
        (
            role(grant(resource_type="run", resource_pattern="1")),
            "permission on run 1: a permission on run applies to all objects of this type ('*'), not to '1'.",
        ),
        (
            role(grant(resource_type="workspace", permission="READ")),
            "permission on workspace *: READ is not possible on workspace; possible are USE, MANAGE.",
        ),
        (
            role(grant(), grant(permission="EDIT")),
            "mlflow_roles: team has 2 permissions on experiment *. Keep one of them.",
        ),
        (direct(permission=None), "mlflow_users: alice, permission on experiment 1: set permission."),
        (direct(resource_id=None), "alice, permission on experiment: set resource_id or experiment_name"),
        (
            direct(resource_type="workspace", resource_id="*", permission="USE"),
            "permission on workspace *: only a role can have this permission. Move it to mlflow_roles.",
        ),
        (role(grant(permission="OWN")), "value of permission must be one of"),
        ({"mlflow_users": [{"roles": []}]}, "missing required arguments: name"),
    ],
)
def test_a_refused_entry_is_named(change: dict[str, Any], told: str) -> None:
    (message,) = messages(**change)
    assert told in message


def test_a_value_of_a_wrong_type_is_refused() -> None:
    assert any("Elements value for option 'mlflow_users'" in message for message in messages(mlflow_users=["alice"]))
    assert any("mlflow_roles" in message for message in messages(mlflow_roles={"name": "readers"}))


def test_a_deleted_role_cannot_be_assigned() -> None:
    users = [{"name": "alice", "roles": ["old"]}]
    (message,) = messages(mlflow_roles=[{"name": "old", "state": "absent"}], mlflow_users=users)
    assert "alice has the role old, which is not in mlflow_roles" in message


@pytest.mark.parametrize(
    ("change", "version", "needed"),
    [
        (role(grant()), "3.11.1", "3.12.0"),
        (role(grant()), "3.12.0", ""),
        ({"mlflow_users": [{"name": "alice"}]}, "2.22.4", "3.12.0"),
        (direct(), "3.12.0", "3.13.0"),
        (role(grant(resource_type="mcp_server")), "3.14.0", "3.15.0"),
        (role(grant(permission="DENY")), "3.16.0", "3.17.0"),
        (role(grant(resource_type="trace")), "3.16.0", "3.17.0"),
        (role(grant(resource_type="trace")), "3.17.0rc0", ""),
        ({}, "2.22.4", ""),
    ],
)
def test_an_older_release_without_the_features_is_refused(change: dict[str, Any], version: str, needed: str) -> None:
    given = {"mlflow_minimum_version": "2.0.0", "mlflow_requirements_file": __file__, "mlflow_version": version}
    said = messages(**given, **change)
    assert len(said) == bool(needed)
    assert all(f"need MLflow {needed} or newer, and the release is {version}" in message for message in said)


def test_a_mode_with_a_single_sign_on_has_lower_case_names_and_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    assert messages(**user(name="Alice")) == []
    other = dataclasses.replace(_authentication.BASIC, single_sign_on=True)
    monkeypatch.setattr(_authentication, "AUTHENTICATIONS", {"basic": other})
    assert "Replace Alice by alice." in messages(**user(name="Alice"))[0]
    (message,) = messages(**user(secret_accessors=["user:alice@example.com"]))
    assert "alice has no generated password. Remove secret_accessors." in message


def test_the_specification_has_the_types_and_permissions_of_the_modules() -> None:
    document = yaml.safe_load((ROLES / "mlflow" / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    for variable in ("mlflow_roles", "mlflow_users"):
        entry = document["argument_specs"]["main"]["options"][variable]["options"]["permissions"]["options"]
        assert entry["resource_type"]["choices"] == [*OBJECT_TYPES, *PART_TYPES, WORKSPACE]
        assert entry["permission"]["choices"] == list(PERMISSIONS)
