# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Direct permissions of users, with the API since MLflow 3.13 and with the older one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_permission

from tests.unit.harness import Json
from tests.unit.mlflow_server import V2, V3, MlflowScript, PlayMlflow

ON_EXPERIMENT = {"user": "alice", "resource_type": "experiment", "resource_id": "4"}
TARGET = {"username": "alice", "resource_type": "experiment", "resource_id": "4"}
OLD_TARGET = {"experiment_id": "4", "username": "alice"}


def version(mlflow: MlflowScript, text: str = "3.17.2") -> None:
    mlflow.expect("GET", "version", text)


def roles(mlflow: MlflowScript, permission: str | None) -> None:
    """Expect that the roles of the user are read, and answer with the permission in the hidden role."""
    same = {"resource_type": "experiment", "resource_pattern": "4"}
    other = {"id": 1, "resource_type": "prompt", "resource_pattern": "4", "permission": "EDIT"}
    own = [other, *([{"id": 12, **same, "permission": permission}] if permission else [])]
    answer = [
        {"id": 3, "name": "team", "workspace": "default", "permissions": [{"id": 2, **same, "permission": "MANAGE"}]},
        {"id": 4, "name": "__user_7__", "workspace": "w", "permissions": [{"id": 3, **same, "permission": "MANAGE"}]},
        {
            "id": 5,
            "name": "__user_8__",
            "workspace": "default",
            "permissions": [{"id": 4, **same, "permission": "USE"}],
        },
        {"id": 6, "name": "__user_7__", "workspace": "default", "permissions": own},
    ]
    mlflow.get(f"{V3}/users/roles/list", {"roles": answer}, username="alice")


def reads(mlflow: MlflowScript, permission: str | None) -> None:
    version(mlflow)
    mlflow.user("alice")
    roles(mlflow, permission)


def document(permission: str) -> Json:
    return {"id": 12, **ON_EXPERIMENT, "permission": permission}


# --- Since MLflow 3.13


def test_grants_a_permission(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads(mlflow, None)
    mlflow.expect("POST", f"{V3}/users/permissions/grant", body=TARGET | {"permission": "EDIT"})
    reads(mlflow, "EDIT")
    result = play_mlflow(mlflow_permission, **ON_EXPERIMENT, permission="EDIT")
    assert (result["changed"], result["resource"]) == (True, document("EDIT"))
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == {"permission": "EDIT"}
    assert result["diff"]["after_header"] == "permission of user alice on experiment 4"


def test_an_equal_permission_is_no_difference(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads(mlflow, "EDIT")
    result = play_mlflow(mlflow_permission, **ON_EXPERIMENT, permission="EDIT")
    assert (result["changed"], result["resource"]) == (False, document("EDIT"))


def test_changes_a_permission_without_a_gap(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads(mlflow, "MANAGE")
    mlflow.expect("PATCH", f"{V3}/roles/permissions/update", body={"role_permission_id": 12, "permission": "READ"})
    reads(mlflow, "READ")
    result = play_mlflow(mlflow_permission, **ON_EXPERIMENT, permission="READ")
    assert result["diff"]["before"] == {"permission": "MANAGE"}
    assert result["diff"]["after"] == {"permission": "READ"}
    assert result["changed"]


@pytest.mark.parametrize("permission", [None, "MANAGE"])
def test_check_mode_changes_nothing(mlflow: MlflowScript, play_mlflow: PlayMlflow, permission: str | None) -> None:
    reads(mlflow, permission)
    assert play_mlflow(mlflow_permission, check=True, **ON_EXPERIMENT, permission="READ")["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_removes_a_permission(mlflow: MlflowScript, play_mlflow: PlayMlflow, check: bool) -> None:
    reads(mlflow, "EDIT")
    if not check:
        mlflow.expect("POST", f"{V3}/users/permissions/revoke", body=TARGET)
    result = play_mlflow(mlflow_permission, check=check, **ON_EXPERIMENT, state="absent")
    assert (result["changed"], result["resource"]) == (True, None)
    assert result["diff"]["before"] == {"permission": "EDIT"}


def test_a_permission_of_a_role_is_not_removed(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads(mlflow, None)
    assert not play_mlflow(mlflow_permission, **ON_EXPERIMENT, state="absent")["changed"]


def test_an_absent_user_has_no_permission(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    version(mlflow)
    mlflow.no_user("alice")
    assert not play_mlflow(mlflow_permission, **ON_EXPERIMENT, state="absent")["changed"]


def test_an_experiment_by_name(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    version(mlflow)
    found = {"experiment": {"experiment_id": "4", "name": "churn"}}
    mlflow.get(f"{V2}/experiments/get-by-name", found, experiment_name="churn")
    mlflow.user("alice")
    roles(mlflow, "EDIT")
    options = ON_EXPERIMENT | {"resource_id": None, "experiment_name": "churn"}
    assert not play_mlflow(mlflow_permission, **options, permission="EDIT")["changed"]


def test_a_missing_user_is_refused(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    version(mlflow)
    mlflow.no_user("alice")
    result = play_mlflow(mlflow_permission, fails=True, **ON_EXPERIMENT, permission="EDIT")
    assert result["msg"] == (
        "Cannot set the permission of user alice on experiment 4: the user does not exist. Create it first."
    )
    assert result["changed"] is False


def test_check_mode_plans_the_permission_of_a_planned_user(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    version(mlflow)
    mlflow.no_user("alice")
    result = play_mlflow(mlflow_permission, check=True, **ON_EXPERIMENT, permission="EDIT")
    assert (result["changed"], result["diff"]["after"]) == (True, {"permission": "EDIT"})


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_missing_experiment(mlflow: MlflowScript, play_mlflow: PlayMlflow, state: str) -> None:
    version(mlflow)
    mlflow.get(f"{V2}/experiments/get-by-name", None, experiment_name="churn")
    if state == "absent":
        mlflow.user("alice")
    options = ON_EXPERIMENT | {"resource_id": None, "experiment_name": "churn", "state": state, "permission": "EDIT"}
    result = play_mlflow(mlflow_permission, fails=state == "present", **options)
    assert not result["changed"]
    if state == "present":
        assert result["msg"] == (
            "Cannot set the permission of user alice on experiment churn: the experiment does not exist. Create it "
            "first."
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"resource_type": "run", "permission": "READ"},
            "on run applies to all objects of this type ('*'), not to '4'",
        ),
        ({"permission": "NO_PERMISSIONS"}, "NO_PERMISSIONS is not possible on experiment; possible are READ, USE"),
    ],
)
def test_an_impossible_permission_is_refused(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, options: dict[str, Any], message: str
) -> None:
    version(mlflow)
    assert message in play_mlflow(mlflow_permission, check=True, fails=True, **ON_EXPERIMENT | options)["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resource_id": None, "experiment_name": "x", "resource_type": "prompt"}, "not possible with resource_type"),
        ({"resource_id": ""}, "must not be empty"),
        ({"permission": None}, "state is present but all of the following are missing: permission"),
    ],
)
def test_bad_options_are_refused_before_a_request(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, options: dict[str, Any], message: str
) -> None:
    result = play_mlflow(mlflow_permission, fails=True, **ON_EXPERIMENT | {"permission": "READ"} | options)
    assert message in result["msg"]


# --- Before MLflow 3.13


def reads_old(mlflow: MlflowScript, permission: str | None) -> None:
    version(mlflow, "2.22.4")
    mlflow.user("alice")
    answer = {"experiment_permission": {"experiment_id": "4", "user_id": 7, "permission": permission}}
    mlflow.get(f"{V2}/experiments/permissions/get", answer if permission else None, **OLD_TARGET)


def test_grants_with_the_old_api(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads_old(mlflow, None)
    body = OLD_TARGET | {"permission": "NO_PERMISSIONS"}
    mlflow.expect("POST", f"{V2}/experiments/permissions/create", body=body)
    reads_old(mlflow, "NO_PERMISSIONS")
    result = play_mlflow(mlflow_permission, **ON_EXPERIMENT, permission="NO_PERMISSIONS")
    assert result["resource"] == {**ON_EXPERIMENT, "permission": "NO_PERMISSIONS"}


def test_changes_with_the_old_api(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    reads_old(mlflow, "EDIT")
    mlflow.expect("PATCH", f"{V2}/experiments/permissions/update", body=OLD_TARGET | {"permission": "READ"})
    reads_old(mlflow, "READ")
    assert play_mlflow(mlflow_permission, **ON_EXPERIMENT, permission="READ")["changed"]


def test_removes_with_the_old_api(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    version(mlflow, "3.12.0")
    mlflow.user("alice")
    target = {"name": "churn-model", "username": "alice"}
    answer = {"registered_model_permission": {"name": "churn-model", "user_id": 7, "permission": "READ"}}
    mlflow.get(f"{V2}/registered-models/permissions/get", answer, **target)
    mlflow.expect("DELETE", f"{V2}/registered-models/permissions/delete", body=target)
    options = {"user": "alice", "resource_type": "registered_model", "resource_id": "churn-model"}
    assert play_mlflow(mlflow_permission, **options, state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resource_type": "prompt", "permission": "READ"}, "permissions on prompt need MLflow 3.13 or newer."),
        ({"permission": "USE"}, "USE needs MLflow 3.13 or newer; possible are READ, EDIT, MANAGE, NO_PERMISSIONS."),
    ],
)
def test_the_old_api_has_less(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, options: dict[str, Any], message: str
) -> None:
    version(mlflow, "2.22.4")
    assert message in play_mlflow(mlflow_permission, fails=True, **ON_EXPERIMENT | options)["msg"]


def test_an_address_of_another_service(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.expect("GET", "version", "<html>Welcome</html>")
    result = play_mlflow(mlflow_permission, fails=True, **ON_EXPERIMENT, permission="READ")
    assert "is not a version: '<html>Welcome</html>'" in result["msg"]
    assert result["msg"].endswith("Check that tracking_uri (https://mlflow.test) is the address of an MLflow server.")
