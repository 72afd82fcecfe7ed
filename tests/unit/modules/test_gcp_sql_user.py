# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_user

from tests.unit.harness import Cloud, FakeClock, Play

ALL = "v1/projects/my-project/instances/db/users"
PASSWORD = "new-horse-battery"
USER: dict[str, Any] = {"name": "mlflow", "instance": "db"}
NEW = {"project": "my-project", "instance": "db", "name": "mlflow"}
OTHER = {"name": "postgres", "instance": "db"}


def run(play: Play, **params: Any) -> dict[str, Any]:
    result = play(gcp_sql_user, **{"instance": "db", "name": "mlflow", **params})
    assert PASSWORD not in json.dumps(result)
    return result


def lists(cloud: Cloud, *users: dict[str, Any]) -> None:
    cloud.get("sql", ALL, {"items": [OTHER, *users]})


def test_creates(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.mutates("POST", "sql", ALL, body=NEW | {"password": PASSWORD})
    lists(cloud, USER)
    result = run(play, password=PASSWORD)
    assert result["changed"]
    assert result["resource"] == USER
    assert result["diff"]["after"] == {"password": "(hidden)"}


def test_sets_the_password_once_when_it_creates(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.mutates("POST", "sql", ALL, body=NEW | {"password": PASSWORD})
    lists(cloud, USER)
    assert run(play, password=PASSWORD, update_password="always")["changed"]


def test_leaves_a_password_alone(cloud: Cloud, play: Play) -> None:
    lists(cloud, USER)
    result = run(play, password=PASSWORD, type="BUILT_IN")
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_sets_the_password_where_told_to(cloud: Cloud, play: Play) -> None:
    lists(cloud, USER)
    cloud.mutates("PUT", "sql", ALL, body=NEW | {"password": PASSWORD}, query={"name": "mlflow"})
    lists(cloud, USER)
    result = run(play, password=PASSWORD, update_password="always")
    assert result["changed"]
    assert result["diff"]["after"] == {"password": "(hidden, changed)"}


def test_plans_a_password(cloud: Cloud, play: Play) -> None:
    lists(cloud, USER)
    result = run(play, check=True, password=PASSWORD, update_password="always")
    assert result["changed"]
    assert "password" not in result["resource"]


def test_the_host_of_mysql_is_part_of_the_name(cloud: Cloud, play: Play) -> None:
    here = USER | {"host": "10.0.0.1"}
    lists(cloud, USER | {"host": "%"}, here)
    body = NEW | {"host": "10.0.0.1", "password": PASSWORD}
    cloud.mutates("PUT", "sql", ALL, body=body, query={"name": "mlflow", "host": "10.0.0.1"})
    lists(cloud, USER | {"host": "%"}, here)
    result = run(play, host="10.0.0.1", password=PASSWORD, update_password="always")
    assert result["resource"] == here


def test_plans_also_without_the_instance(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "sql", ALL, 404, "instanceDoesNotExist")
    result = run(play, check=True, password=PASSWORD)
    assert result["changed"]
    assert result["resource"] == NEW
    assert result["diff"]["after"] == {"password": "(hidden)"}


@pytest.mark.parametrize("message", ["Password does not meet the policy.", f"{PASSWORD} is too simple"])
def test_an_error_does_not_tell_the_password(cloud: Cloud, play: Play, message: str) -> None:
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 400, "invalidPassword", message, body=NEW | {"password": PASSWORD})
    assert "Cannot create user mlflow of Cloud SQL instance db" in run(play, fails=True, password=PASSWORD)["msg"]


def test_refuses_another_type(cloud: Cloud, play: Play) -> None:
    lists(cloud, USER)
    assert "cannot change type (current: 'BUILT_IN'" in run(play, fails=True, check=True, type="CLOUD_IAM_USER")["msg"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    lists(cloud, USER)
    assert run(play, check=True, state="absent")["changed"]
    lists(cloud, USER)
    cloud.mutates("DELETE", "sql", ALL, query={"name": "mlflow"})
    assert run(play, state="absent")["changed"]
    lists(cloud)
    assert not run(play, state="absent")["changed"]
    cloud.fails("GET", "sql", ALL, 404, "instanceDoesNotExist")
    assert not run(play, state="absent")["changed"]


RUNS = {"name": "db", "state": "RUNNABLE", "settings": {"activationPolicy": "ALWAYS"}}
CONFLICT = "The instance or operation is not in an appropriate state to handle the request."


def test_waits_for_a_conflict_of_another_reason(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    """Google's first automatic backup runs when the user is created."""
    lists(cloud)
    for _attempt in range(3):
        cloud.fails("POST", "sql", ALL, 409, "invalidState", CONFLICT, body=NEW | {"password": PASSWORD})
        cloud.get("sql", "v1/projects/my-project/instances/db", RUNS)
    cloud.mutates("POST", "sql", ALL, body=NEW | {"password": PASSWORD})
    lists(cloud, USER)
    assert run(play, password=PASSWORD)["changed"]
    assert clock.sleeps


def test_a_conflict_that_does_not_end_is_explained(cloud: Cloud, play: Play) -> None:
    body, one = NEW | {"password": PASSWORD}, "v1/projects/my-project/instances/db"
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 409, "invalidState", CONFLICT, body=body)
    cloud.get("sql", one, RUNS)
    lists(cloud)
    cloud.get("sql", one, RUNS)
    assert (
        "Another operation of the Cloud SQL instance is running"
        in run(play, fails=True, password=PASSWORD, timeout=1)["msg"]
    )


def test_a_conflict_with_an_existing_user_is_not_waited_for(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 409, "invalid", "User mlflow already exists.", body=NEW | {"password": PASSWORD})
    lists(cloud, USER)
    assert not run(play, password=PASSWORD)["resource"].get("password")
    assert not clock.sleeps


@pytest.mark.parametrize("operations", [[], [{"name": "start", "status": "RUNNING"}]])
def test_waits_for_a_stopped_instance_only_while_an_operation_runs(
    cloud: Cloud, play: Play, clock: FakeClock, operations: list[dict[str, Any]]
) -> None:
    one, body = "v1/projects/my-project/instances/db", NEW | {"password": PASSWORD}
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 409, "invalidState", CONFLICT, body=body)
    cloud.get("sql", one, STOPPED)
    cloud.get("sql", "v1/projects/my-project/operations", {"items": operations}, query={"instance": "db"})
    if operations:
        cloud.mutates("POST", "sql", ALL, body=body)
        lists(cloud, USER)
        assert run(play, password=PASSWORD)["changed"]
        return
    lists(cloud)
    cloud.get("sql", one, STOPPED)
    assert "Cloud SQL instance db is stopped" in run(play, fails=True, password=PASSWORD)["msg"]
    assert not clock.sleeps


STOPPED = {"name": "db", "state": "RUNNABLE", "settings": {"activationPolicy": "NEVER"}}
NOT_RUNNING = "Invalid request: Invalid request since instance is not running."


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (400, "invalid", NOT_RUNNING),
        (400, "invalidState", "The instance or operation is not in an appropriate state to handle the request."),
    ],
)
def test_says_that_the_instance_is_stopped(cloud: Cloud, play: Play, code: int, reason: str, message: str) -> None:
    """Google's message names neither the instance nor a remedy."""
    cloud.fails("GET", "sql", ALL, code, reason, message)
    cloud.get("sql", "v1/projects/my-project/instances/db", STOPPED)
    told = run(play, fails=True, password=PASSWORD)["msg"]
    assert message in told
    assert "Cloud SQL instance db is stopped (state RUNNABLE, activationPolicy NEVER)" in told
    assert "`gcloud sql instances patch db --activation-policy=ALWAYS --project=my-project`" in told


def test_does_not_guess_where_the_instance_cannot_be_asked(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "sql", ALL, 400, "invalid", NOT_RUNNING)
    cloud.fails("GET", "sql", "v1/projects/my-project/instances/db", 403, "forbidden")
    assert NOT_RUNNING in run(play, fails=True, password=PASSWORD)["msg"]
