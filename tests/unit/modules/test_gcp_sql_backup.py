# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_backup

from tests.unit.harness import Cloud, FakeClock, Play

ALL = "v1/projects/my-project/instances/db/backupRuns"
DAILY = {"id": "90", "status": "SUCCESSFUL", "type": "AUTOMATED"}
GOOD = {"id": "100", "status": "SUCCESSFUL", "type": "ON_DEMAND", "description": "before", "location": "eu"}
BODY = {"description": "before"}


def run(play: Play, **params: Any) -> dict[str, Any]:
    return play(gcp_sql_backup, **{"instance": "db", "description": "before", **params})


def lists(cloud: Cloud, *runs: dict[str, Any]) -> None:
    cloud.get("sql", ALL, {"items": [*runs, DAILY]}, query={"maxResults": "100"})


def test_makes_one_and_waits(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.mutates("POST", "sql", ALL, body=BODY | {"location": "eu"})
    lists(cloud, GOOD)
    result = run(play, location="eu")
    assert result["changed"]
    assert result["resource"] == GOOD
    assert not result["pending"]
    assert result["backups"] == [GOOD, DAILY]
    assert result["diff"]["after"] == {"description": "before", "location": "eu"}


def test_an_existing_backup_is_used(cloud: Cloud, play: Play) -> None:
    lists(cloud, GOOD)
    result = run(play)
    assert not result["changed"]
    assert result["resource"] == GOOD


@pytest.mark.parametrize("status", ["FAILED", "DELETED", "DELETION_PENDING", "SKIPPED"])
def test_unsuccessful_backups_are_not_counted(cloud: Cloud, play: Play, status: str) -> None:
    bad = GOOD | {"status": status}
    lists(cloud, bad)
    cloud.mutates("POST", "sql", ALL, body=BODY)
    lists(cloud, bad, GOOD | {"id": "101"})
    assert run(play)["resource"]["id"] == "101"


def test_a_failure_is_told(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    failure = {"errors": [{"code": "INTERNAL_ERROR", "message": "Failed to back the instance up"}]}
    cloud.mutates("POST", "sql", ALL, body=BODY, failure=failure)
    message = run(play, fails=True)["msg"]
    assert "Cannot create backup 'before' of Cloud SQL instance db" in message
    assert "Failed to back the instance up" in message


def test_waits_for_a_running_backup(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    running = GOOD | {"status": "RUNNING"}
    lists(cloud, running)
    cloud.get("sql", "v1/projects/my-project/operations", {"items": [{"status": "DONE"}]}, query={"instance": "db"})
    lists(cloud, running)
    lists(cloud, GOOD)
    result = run(play)
    assert not result["changed"]
    assert result["resource"]["status"] == "SUCCESSFUL"
    assert clock.sleeps


def test_need_not_wait(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    operation = {"kind": "sql#operation", "name": "o", "targetProject": "my-project", "status": "PENDING"}
    cloud.expect("POST", "sql", ALL, operation, body=BODY)
    lists(cloud, GOOD | {"status": "RUNNING"})
    result = run(play, wait=False)
    assert result["changed"]
    assert result["pending"]


def test_waits_for_its_turn(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 409, "operationInProgress", body=BODY)
    cloud.mutates("POST", "sql", ALL, body=BODY)
    lists(cloud, GOOD)
    assert run(play)["changed"]


def test_a_lost_answer_makes_no_second_backup(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.expect("POST", "sql", ALL, requests.ConnectionError("reset"), body=BODY)
    lists(cloud, GOOD)
    lists(cloud, GOOD)
    assert run(play)["resource"] == GOOD


def test_asks_again_where_nothing_came_of_it(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    cloud.fails("POST", "sql", ALL, 503, "backendError", body=BODY)
    lists(cloud)
    cloud.mutates("POST", "sql", ALL, body=BODY)
    lists(cloud, GOOD)
    assert run(play)["changed"]


def test_a_plan_makes_nothing_and_lists(cloud: Cloud, play: Play) -> None:
    lists(cloud)
    result = run(play, check=True)
    assert result["changed"]
    assert result["backups"] == [DAILY]


def test_a_plan_without_the_instance(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "sql", ALL, 404, "instanceDoesNotExist", query={"maxResults": "100"})
    result = run(play, check=True)
    assert result["changed"]
    assert result["backups"] == []


def test_refuses_another_location(cloud: Cloud, play: Play) -> None:
    lists(cloud, GOOD)
    assert "cannot change location" in run(play, fails=True, location="us")["msg"]


def test_deletes_all_of_that_description(cloud: Cloud, play: Play) -> None:
    runs = [GOOD, GOOD | {"id": "101", "status": "FAILED"}, GOOD | {"id": "102", "description": "another"}]
    lists(cloud, *runs)
    result = run(play, check=True, state="absent")
    assert result["changed"]
    assert result["diff"]["before"]["description"] == "before"
    lists(cloud, *runs)
    cloud.mutates("DELETE", "sql", f"{ALL}/100")
    cloud.mutates("DELETE", "sql", f"{ALL}/101")
    assert run(play, state="absent")["changed"]
    lists(cloud, runs[2])
    assert not run(play, state="absent")["changed"]
