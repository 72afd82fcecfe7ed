# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_database

from tests.unit.harness import Cloud, FakeClock, Play

ALL = "v1/projects/my-project/instances/db/databases"
ONE = f"{ALL}/mlflow"
DATABASE = {"name": "mlflow", "instance": "db", "charset": "UTF8", "collation": "en_US.UTF8"}
NEW = {"project": "my-project", "instance": "db", "name": "mlflow", "charset": "UTF8"}


def run(play: Play, **params: Any) -> dict[str, Any]:
    return play(gcp_sql_database, **{"instance": "db", "name": "mlflow", **params})


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, None)
    cloud.mutates("POST", "sql", ALL, body=NEW)
    cloud.get("sql", ONE, DATABASE)
    result = run(play, charset="UTF8")
    assert result["changed"]
    assert result["resource"] == DATABASE
    assert result["diff"]["after"] == {"charset": "UTF8"}


def test_waits_for_its_turn(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("sql", ONE, None)
    cloud.fails("POST", "sql", ALL, 409, "operationInProgress", body=NEW)
    cloud.fails("POST", "sql", ALL, 409, "operationInProgress", body=NEW)
    cloud.mutates("POST", "sql", ALL, body=NEW)
    cloud.get("sql", ONE, DATABASE)
    assert run(play, charset="UTF8")["changed"]
    assert len(clock.sleeps) >= 2


@pytest.mark.parametrize("reason", ["databaseDoesNotExist", "instanceDoesNotExist"])
def test_plans_also_without_the_instance(cloud: Cloud, play: Play, reason: str) -> None:
    cloud.fails("GET", "sql", ONE, 404, reason)
    result = run(play, check=True)
    assert result["changed"]
    assert result["resource"]["name"] == "mlflow"


def test_fails_without_the_instance(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "sql", ONE, 404, "instanceDoesNotExist")
    body = {"project": "my-project", "instance": "db", "name": "mlflow"}
    cloud.fails("POST", "sql", ALL, 404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.", body=body)
    assert "Cannot create database mlflow of Cloud SQL instance db" in run(play, fails=True)["msg"]


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, DATABASE)
    result = run(play, charset="UTF8", collation="en_US.UTF8")
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize("option", ["charset", "collation"])
def test_refuses_to_change(cloud: Cloud, play: Play, option: str) -> None:
    cloud.get("sql", ONE, DATABASE)
    assert f"cannot change {option}" in run(play, fails=True, check=True, **{option: "C"})["msg"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, DATABASE)
    assert run(play, check=True, state="absent")["changed"]
    cloud.get("sql", ONE, DATABASE)
    cloud.mutates("DELETE", "sql", ONE)
    result = run(play, state="absent")
    assert result["changed"]
    assert result["diff"]["before"]["charset"] == "UTF8"
    cloud.fails("GET", "sql", ONE, 404, "instanceDoesNotExist")
    assert not run(play, state="absent")["changed"]
