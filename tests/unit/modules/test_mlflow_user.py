# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Users of MLflow: creation, password, administrators, roles, deletion."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_user

from tests.unit.harness import Json
from tests.unit.mlflow_server import ADMIN, ADMIN_PASSWORD, V2, V3, MlflowScript, PlayMlflow, basic

PASSWORD = "correct-horse-battery"
CREATED = {"username": "alice", "password": PASSWORD}


def role(number: int, name: str, workspace: str = "default") -> Json:
    return {"id": number, "name": name, "workspace": workspace, "description": None, "permissions": []}


READERS, TEAM, HIDDEN = role(1, "readers"), role(2, "churn-team"), role(9, "__user_7__")


def has_roles(mlflow: MlflowScript, *roles: Json) -> None:
    mlflow.get(f"{V3}/users/roles/list", {"roles": list(roles)}, username="alice")


def knows_roles(mlflow: MlflowScript, *roles: Json) -> None:
    mlflow.get(f"{V3}/roles/list", {"roles": list(roles)}, workspace="default")


def holds_no_secret(result: Json) -> None:
    assert PASSWORD not in json.dumps(result)


# --- Creation


def test_creates_a_user_with_administrator_status_and_roles(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.no_user("alice")
    mlflow.expect("POST", f"{V2}/users/create", {"user": {}}, body=CREATED)
    mlflow.user("alice")
    has_roles(mlflow)
    mlflow.checks("alice", PASSWORD, correct=True)
    mlflow.expect("PATCH", f"{V2}/users/update-admin", body={"username": "alice", "is_admin": True})
    mlflow.user("alice", is_admin=True)
    has_roles(mlflow)
    mlflow.checks("alice", PASSWORD, correct=True)
    knows_roles(mlflow, READERS, TEAM)
    mlflow.expect("POST", f"{V3}/roles/assign", body={"username": "alice", "role_id": 1})
    mlflow.user("alice", is_admin=True)
    has_roles(mlflow, READERS)
    mlflow.checks("alice", PASSWORD, correct=True)
    result = play_mlflow(mlflow_user, name="alice", password=PASSWORD, is_admin=True, roles=["readers"])
    assert result["changed"]
    assert result["resource"] == {"id": 7, "username": "alice", "is_admin": True, "roles": ["readers"]}
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == {"password": "(hidden)", "is_admin": True, "roles": ["readers"]}
    assert result["diff"]["after_header"] == "user alice"
    holds_no_secret(result)


def test_check_mode_plans_a_creation(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.no_user("alice")
    result = play_mlflow(mlflow_user, check=True, name="alice", password=PASSWORD, roles=["not-created-yet"])
    assert result["changed"]
    assert result["resource"] == {"username": "alice", "roles": ["not-created-yet"]}
    assert result["diff"]["after"] == {"password": "(hidden)", "roles": ["not-created-yet"]}
    holds_no_secret(result)


@pytest.mark.parametrize("check", [True, False])
def test_a_new_user_needs_a_password(mlflow: MlflowScript, play_mlflow: PlayMlflow, check: bool) -> None:
    mlflow.no_user("alice")
    result = play_mlflow(mlflow_user, check=check, fails=True, name="alice")
    assert result["msg"] == "Cannot create user alice without a password. Set the option password."
    assert result["changed"] is False


def test_a_creation_whose_answer_was_lost(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.no_user("alice")
    mlflow.expect("POST", f"{V2}/users/create", requests.ConnectionError("reset"), body=CREATED)
    mlflow.fails("POST", f"{V2}/users/create", 400, "RESOURCE_ALREADY_EXISTS", body=CREATED)
    mlflow.user("alice")
    mlflow.checks("alice", PASSWORD, correct=True)
    assert play_mlflow(mlflow_user, name="alice", password=PASSWORD)["changed"]


@pytest.mark.parametrize("options", [{"name": "a:b"}, {"name": "alice", "password": ""}])
def test_bad_values_are_refused_before_a_request(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, options: dict[str, str]
) -> None:
    assert "must not" in play_mlflow(mlflow_user, fails=True, **options)["msg"]


# --- Password


def test_a_correct_password_is_not_changed(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    mlflow.checks("alice", PASSWORD, correct=True)
    result = play_mlflow(mlflow_user, name="alice", password=PASSWORD)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"] == {"password": "(hidden)"}


def test_a_wrong_password_is_changed(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    mlflow.checks("alice", PASSWORD, correct=False)
    mlflow.expect("PATCH", f"{V2}/users/update-password", body=CREATED)
    mlflow.user("alice")
    mlflow.checks("alice", PASSWORD, correct=True)
    result = play_mlflow(mlflow_user, name="alice", password=PASSWORD)
    assert result["changed"]
    assert result["diff"]["before"] == {"password": "(hidden)"}
    assert result["diff"]["after"] == {"password": "(hidden, changed)"}
    holds_no_secret(result)


def test_check_mode_does_not_change_a_password(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    mlflow.checks("alice", PASSWORD, correct=False)
    result = play_mlflow(mlflow_user, check=True, name="alice", password=PASSWORD)
    assert result["changed"]
    assert result["resource"] == {"id": 7, "username": "alice", "is_admin": False}


def test_on_create_does_not_check_a_password(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    assert not play_mlflow(mlflow_user, name="alice", password=PASSWORD, update_password="on_create")["changed"]


def test_a_check_that_is_not_possible_is_not_a_wrong_password(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    where = {"query": {"username": "alice"}, "authorization": basic("alice", PASSWORD)}
    mlflow.expect("GET", f"{V2}/users/get", "Permission denied", status=403, **where)
    result = play_mlflow(mlflow_user, fails=True, name="alice", password=PASSWORD)
    assert result["msg"].startswith("Cannot read user alice of https://mlflow.test: Permission denied (HTTP 403)")
    holds_no_secret(result)


def test_the_user_of_the_connection_changes_its_own_password(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    """MLflow demands the current password. The next request must have the new password."""
    mlflow.user(ADMIN, is_admin=True)
    mlflow.checks(ADMIN, PASSWORD, correct=False)
    body = {"username": ADMIN, "password": PASSWORD, "current_password": ADMIN_PASSWORD}
    mlflow.expect("PATCH", f"{V2}/users/update-password", body=body)
    mlflow.checks(ADMIN, PASSWORD, correct=True)  # the reading of the user
    mlflow.checks(ADMIN, PASSWORD, correct=True)
    result = play_mlflow(mlflow_user, name=ADMIN, password=PASSWORD)
    assert result["changed"]
    holds_no_secret(result)


# --- Administrators and roles


def test_an_administrator_loses_the_status(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice", is_admin=True)
    mlflow.expect("PATCH", f"{V2}/users/update-admin", body={"username": "alice", "is_admin": False})
    mlflow.user("alice")
    result = play_mlflow(mlflow_user, name="alice", is_admin=False)
    assert (result["changed"], result["resource"]["is_admin"]) == (True, False)
    assert result["diff"]["before"] == {"is_admin": True}


def test_roles_are_replaced(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    """The hidden role with the user's own permissions, and roles of other workspaces, remain."""
    other = role(5, "readers", "other")
    mlflow.user("alice")
    has_roles(mlflow, READERS, HIDDEN, other)
    knows_roles(mlflow, READERS, TEAM, HIDDEN)
    mlflow.expect("POST", f"{V3}/roles/assign", body={"username": "alice", "role_id": 2})
    mlflow.expect("DELETE", f"{V3}/roles/unassign", body={"username": "alice", "role_id": 1})
    mlflow.user("alice")
    has_roles(mlflow, TEAM, HIDDEN, other)
    result = play_mlflow(mlflow_user, name="alice", roles=["churn-team"])
    assert result["resource"]["roles"] == ["churn-team"]
    assert result["diff"]["before"] == {"roles": ["readers"]}
    assert result["diff"]["after"] == {"roles": ["churn-team"]}


def test_an_empty_list_removes_all_roles(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    has_roles(mlflow, READERS)
    knows_roles(mlflow, READERS)
    body = {"username": "alice", "role_id": 1}
    mlflow.expect("DELETE", f"{V3}/roles/unassign", requests.ConnectionError("reset"), body=body)
    mlflow.fails("DELETE", f"{V3}/roles/unassign", 404, "RESOURCE_DOES_NOT_EXIST", body=body)  # the answer was lost
    mlflow.user("alice")
    has_roles(mlflow)
    assert play_mlflow(mlflow_user, name="alice", roles=[])["changed"]


def test_roles_in_another_order_are_no_difference(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    has_roles(mlflow, READERS, TEAM, HIDDEN)
    result = play_mlflow(mlflow_user, name="alice", roles=["readers", "churn-team", "readers"])
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_an_unknown_role_is_refused(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    has_roles(mlflow, READERS)
    knows_roles(mlflow, READERS, HIDDEN)
    result = play_mlflow(mlflow_user, fails=True, name="alice", roles=["reader", "__user_7__"])
    assert result["msg"] == (
        "Cannot assign roles to user alice: the workspace default has no role __user_7__, reader. Create it with "
        "mlflow_role first."
    )


def test_another_client_assigns_the_role_at_the_same_time(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.user("alice")
    has_roles(mlflow)
    knows_roles(mlflow, READERS)
    body = {"username": "alice", "role_id": 1}
    mlflow.fails("POST", f"{V3}/roles/assign", 400, "RESOURCE_ALREADY_EXISTS", body=body)
    mlflow.user("alice")
    has_roles(mlflow, READERS)
    assert not play_mlflow(mlflow_user, name="alice", roles=["readers"])["changed"]


# --- Deletion


@pytest.mark.parametrize("check", [True, False])
def test_deletes_a_user(mlflow: MlflowScript, play_mlflow: PlayMlflow, check: bool) -> None:
    mlflow.user("alice")
    if not check:
        mlflow.expect("DELETE", f"{V2}/users/delete", body={"username": "alice"})
    result = play_mlflow(mlflow_user, check=check, name="alice", password=PASSWORD, roles=["x"], state="absent")
    assert (result["changed"], result["resource"]) == (True, None)
    assert result["diff"]["before"] == {"is_admin": False}
    assert result["diff"]["after"] == {}


def test_an_absent_user_is_no_change(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.no_user("alice")
    assert not play_mlflow(mlflow_user, name="alice", state="absent")["changed"]


@pytest.mark.parametrize("options", [{"state": "absent"}, {"is_admin": False}])
@pytest.mark.parametrize("check", [True, False])
def test_the_user_of_the_connection_cannot_lock_itself_out(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, check: bool, options: dict[str, Any]
) -> None:
    mlflow.user(ADMIN, is_admin=True)
    result = play_mlflow(mlflow_user, check=check, fails=True, name=ADMIN, **options)
    assert result["msg"].endswith("user of the connection (tracking_username). Use another administrator.")
