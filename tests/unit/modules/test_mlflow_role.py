# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Roles of MLflow: creation, permissions as a whole, description, deletion."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_role

from tests.unit.harness import Json
from tests.unit.mlflow_server import V2, V3, MlflowScript, PlayMlflow


def grant(resource_type: str, pattern: str, permission: str) -> Json:
    return {"resource_type": resource_type, "resource_pattern": pattern, "permission": permission}


READ_ALL, EDIT_ONE, USE_ONE = (
    grant("experiment", "*", "READ"),
    grant("experiment", "4", "EDIT"),
    grant("prompt", "welcome", "USE"),
)


def role(*grants: Json, name: str = "readers", description: str | None = None, workspace: str = "default") -> Json:
    permissions = [{"id": 10 + number, "role_id": 3, **entry} for number, entry in enumerate(grants)]
    return {"id": 3, "name": name, "workspace": workspace, "description": description, "permissions": permissions}


def lists(mlflow: MlflowScript, *roles: Json) -> None:
    other = role(EDIT_ONE, name="others") | {"id": 8}
    mlflow.get(f"{V3}/roles/list", {"roles": [other, *roles]}, workspace="default")


def experiment(mlflow: MlflowScript, name: str, number: str | None) -> None:
    answer = {"experiment": {"experiment_id": number, "name": name}} if number else None
    mlflow.get(f"{V2}/experiments/get-by-name", answer, experiment_name=name)


def adds(mlflow: MlflowScript, entry: Json) -> None:
    mlflow.expect("POST", f"{V3}/roles/permissions/add", body={"role_id": 3, **entry})


def test_creates_a_role_with_permissions(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    experiment(mlflow, "churn", "4")
    lists(mlflow)
    body = {"name": "readers", "workspace": "default", "description": "Read"}
    mlflow.expect("POST", f"{V3}/roles/create", {"role": {}}, body=body)
    lists(mlflow, role(description="Read"))
    adds(mlflow, READ_ALL)
    adds(mlflow, EDIT_ONE)
    made = role(READ_ALL, EDIT_ONE, description="Read")
    lists(mlflow, made)
    by_name = {"resource_type": "experiment", "experiment_name": "churn", "permission": "EDIT"}
    result = play_mlflow(mlflow_role, name="readers", description="Read", permissions=[by_name, READ_ALL])
    assert (result["changed"], result["resource"]) == (True, made)
    assert result["diff"]["after"] == {"description": "Read", "permissions": [READ_ALL, EDIT_ONE]}


def test_check_mode_plans_a_creation(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow)
    result = play_mlflow(mlflow_role, check=True, name="readers", permissions=[READ_ALL])
    assert result["resource"] == {"name": "readers", "workspace": "default", "permissions": [READ_ALL]}
    assert result["diff"]["before"] == {}


def test_the_same_permissions_in_another_order_are_no_difference(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role(USE_ONE, READ_ALL, EDIT_ONE))
    result = play_mlflow(mlflow_role, name="readers", permissions=[EDIT_ONE, USE_ONE, READ_ALL, USE_ONE])
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_options_that_are_not_set_remain(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role(READ_ALL, description="Read"))
    assert not play_mlflow(mlflow_role, name="readers")["changed"]


def test_permissions_are_added_updated_and_removed(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role(READ_ALL, EDIT_ONE))
    mlflow.expect("PATCH", f"{V3}/roles/permissions/update", body={"role_permission_id": 11, "permission": "READ"})
    adds(mlflow, USE_ONE)
    mlflow.expect("DELETE", f"{V3}/roles/permissions/remove", body={"role_permission_id": 10})
    read_one = EDIT_ONE | {"permission": "READ"}
    lists(mlflow, role(read_one, USE_ONE))
    result = play_mlflow(mlflow_role, name="readers", permissions=[USE_ONE, read_one])
    assert result["changed"]
    assert result["diff"]["before"] == {"permissions": [READ_ALL, EDIT_ONE]}
    assert result["diff"]["after"] == {"permissions": [read_one, USE_ONE]}


def test_check_mode_plans_a_removal(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role(READ_ALL, EDIT_ONE))
    result = play_mlflow(mlflow_role, check=True, name="readers", permissions=[READ_ALL])
    assert (result["changed"], result["resource"]["permissions"]) == (True, [READ_ALL])
    assert result["diff"]["before"] == {"permissions": [READ_ALL, EDIT_ONE]}


def test_an_empty_list_removes_all_permissions(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role(READ_ALL))
    gone = {"role_permission_id": 10}
    mlflow.fails("DELETE", f"{V3}/roles/permissions/remove", 404, "RESOURCE_DOES_NOT_EXIST", body=gone)
    lists(mlflow, role())
    assert play_mlflow(mlflow_role, name="readers", permissions=[])["changed"]


@pytest.mark.parametrize("text", ["Read", ""])
def test_updates_the_description(mlflow: MlflowScript, play_mlflow: PlayMlflow, text: str) -> None:
    lists(mlflow, role(description="Old"))
    mlflow.expect("PATCH", f"{V3}/roles/update", body={"role_id": 3, "description": text})
    lists(mlflow, role(description=text))
    result = play_mlflow(mlflow_role, name="readers", description=text)
    assert result["diff"]["before"] == {"description": "Old"}
    assert result["changed"]


def test_another_client_adds_the_permission_at_the_same_time(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow, role())
    message = "Role permission already exists. Error: (sqlite3.IntegrityError) UNIQUE [SQL: INSERT]"
    body = {"role_id": 3, **READ_ALL}
    mlflow.fails("POST", f"{V3}/roles/permissions/add", 400, "RESOURCE_ALREADY_EXISTS", message, body=body)
    lists(mlflow, role(READ_ALL))
    assert not play_mlflow(mlflow_role, name="readers", permissions=[READ_ALL])["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_deletes_a_role(mlflow: MlflowScript, play_mlflow: PlayMlflow, check: bool) -> None:
    lists(mlflow, role(READ_ALL))
    if not check:
        mlflow.expect("DELETE", f"{V3}/roles/delete", body={"role_id": 3})
    gone = {"resource_type": "experiment", "experiment_name": "deleted before", "permission": "READ"}
    result = play_mlflow(mlflow_role, check=check, name="readers", state="absent", permissions=[gone])
    assert (result["changed"], result["resource"]) == (True, None)
    assert result["diff"]["before"] == {"permissions": [READ_ALL]}


def test_an_absent_role_is_no_change(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    lists(mlflow)
    assert not play_mlflow(mlflow_role, name="readers", state="absent")["changed"]


def test_a_role_of_another_workspace(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    mlflow.workspace("team")
    mlflow.expect(
        "GET", f"{V3}/roles/list", {"roles": [role(workspace="team")]}, query={"workspace": "team"}, workspace="team"
    )
    assert not play_mlflow(mlflow_role, name="readers", workspace="team")["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"permissions": [grant("run", "4", "READ")]}, "a permission on run applies to all objects of this type"),
        ({"permissions": [grant("workspace", "*", "READ")]}, "READ is not possible on workspace; possible are USE"),
        (
            {"permissions": [READ_ALL, READ_ALL | {"permission": "DENY"}]},
            "two permissions on experiment *: READ and DENY",
        ),
        (
            {"permissions": [{"resource_type": "prompt", "experiment_name": "churn", "permission": "READ"}]},
            "experiment_name (churn) is not possible with resource_type prompt. Set resource_pattern.",
        ),
        ({"permissions": [{"resource_type": "prompt", "permission": "READ"}]}, "resource_pattern, experiment_name"),
        ({"name": "__user_7__", "state": "absent"}, "belongs to MLflow. Use mlflow_permission"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_bad_values_are_refused_before_a_request(
    mlflow: MlflowScript, play_mlflow: PlayMlflow, options: dict[str, Any], message: str, check: bool
) -> None:
    assert message in play_mlflow(mlflow_role, check=check, fails=True, **{"name": "readers", **options})["msg"]


def test_an_unknown_experiment_is_refused(mlflow: MlflowScript, play_mlflow: PlayMlflow) -> None:
    experiment(mlflow, "churn", None)
    entry = {"resource_type": "experiment", "experiment_name": "churn", "permission": "READ"}
    result = play_mlflow(mlflow_role, fails=True, name="readers", permissions=[entry])
    assert result["msg"] == "Cannot set the permissions of role readers: there is no experiment churn. Create it."
