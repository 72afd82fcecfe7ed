# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_secret

from tests.unit.harness import Cloud, Play, error

ALL = "v1/projects/my-project/secrets"
ONE = f"{ALL}/password"
SECRET: dict[str, Any] = {
    "name": "projects/42/secrets/password",
    "labels": {"app": "mlflow", "team": "ml"},
    "replication": {"automatic": {}},
    "etag": '"1"',
}
OLD, NEW = "old-horse-battery", "new-horse-battery"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def lists(cloud: Cloud, *numbers: int) -> None:
    versions = [{"name": f"projects/42/secrets/password/versions/{n}", "state": "ENABLED"} for n in numbers]
    answer = {"versions": versions} if versions else {}
    cloud.get("secretmanager", f"{ONE}/versions", answer, query={"filter": "state:ENABLED", "pageSize": "1"})


def lists_disabled(cloud: Cloud, *numbers: int) -> None:
    versions = [{"name": f"projects/42/secrets/password/versions/{n}", "state": "DISABLED"} for n in numbers]
    answer = {"versions": versions} if versions else {}
    cloud.get("secretmanager", f"{ONE}/versions", answer, query={"filter": "state:DISABLED", "pageSize": "1"})


def accesses(cloud: Cloud, number: int, text: str, **payload: str) -> None:
    """Expect one request for the newest version, which is enabled."""
    cloud.get("secretmanager", f"{ONE}/versions/latest:access", version(number, text, **payload))


def accesses_number(cloud: Cloud, number: int, text: str) -> None:
    cloud.get("secretmanager", f"{ONE}/versions/{number}:access", version(number, text))


def version(number: int, text: str, **payload: str) -> dict[str, Any]:
    return {"name": f"projects/42/secrets/password/versions/{number}", "payload": {"data": encoded(text), **payload}}


def has_no_latest(cloud: Cloud, status: int = 404) -> None:
    """Expect a request for the newest version, which does not exist (404) or is not enabled (400)."""
    cloud.fails("GET", "secretmanager", f"{ONE}/versions/latest:access", status, "failedPrecondition")


def adds(cloud: Cloud, text: str) -> None:
    body = {"payload": {"data": encoded(text), "dataCrc32c": str(gcp_secret.crc32c(text.encode()))}}
    cloud.expect("POST", "secretmanager", f"{ONE}:addVersion", {"name": "projects/42/…/versions/2"}, body=body)


def holds_no_secret(result: dict[str, Any]) -> None:
    # The result contains the arguments as "invocation", where Ansible masks secrets.
    printed = json.dumps(result, ensure_ascii=False)
    for text in (OLD, NEW):
        assert text not in printed
        assert encoded(text) not in printed


def test_creates_with_a_payload(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, None)
    body = {"replication": {"automatic": {}}, "labels": {"app": "mlflow"}}
    cloud.expect("POST", "secretmanager", ALL, SECRET, body=body, query={"secretId": "password"})
    cloud.get("secretmanager", ONE, SECRET)
    has_no_latest(cloud)
    lists(cloud)
    adds(cloud, NEW)
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 1, NEW)
    result = play(gcp_secret, name="password", labels={"app": "mlflow"}, payload=NEW)
    assert result["changed"]
    assert result["resource"] == SECRET
    assert "payload" not in result
    assert result["diff"]["after"] == {"labels": {"app": "mlflow"}, "payload": "(hidden)"}
    holds_no_secret(result)


def test_creates_where_it_should_live(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, None)
    replication = {"userManaged": {"replicas": [{"location": "europe-west1"}, {"location": "europe-west4"}]}}
    query = {"secretId": "password"}
    cloud.expect("POST", "secretmanager", ALL, SECRET, body={"replication": replication}, query=query)
    cloud.get("secretmanager", ONE, SECRET | {"replication": replication})
    result = play(gcp_secret, name="password", locations=["europe-west1", "europe-west4"])
    assert result["resource"]["replication"] == replication
    cloud.get("secretmanager", ONE, SECRET | {"replication": replication})
    assert not play(gcp_secret, name="password", locations=["europe-west4", "europe-west1"])["changed"]


@pytest.mark.parametrize("policy", ["always", "if_absent"])
def test_plans_the_creation(cloud: Cloud, play: Play, policy: str) -> None:
    cloud.get("secretmanager", ONE, None)
    result = play(gcp_secret, check=True, name="password", payload=NEW, payload_policy=policy)
    assert result["changed"]
    assert result["diff"]["after"] == {"payload": "(hidden)"}
    holds_no_secret(result)


def test_plans_where_the_api_is_off(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "secretmanager", ONE, 403, "forbidden", details=[{"reason": "SERVICE_DISABLED"}])
    result = play(gcp_secret, check=True, name="password", return_payload=True)
    assert result["changed"]
    assert result["payload"] is None


def test_leaves_the_same_payload_alone(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD, dataCrc32c=str(gcp_secret.crc32c(OLD.encode())))
    result = play(gcp_secret, name="password", payload=OLD)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"] == {"payload": "(hidden)"}
    holds_no_secret(result)


@pytest.mark.parametrize("check", [False, True])
def test_another_payload_is_another_version(cloud: Cloud, play: Play, check: bool) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD)
    if not check:
        adds(cloud, NEW)
        cloud.get("secretmanager", ONE, SECRET)
        accesses(cloud, 4, NEW)
    result = play(gcp_secret, check=check, name="password", payload=NEW)
    assert result["changed"]
    assert result["diff"]["before"] == {"payload": "(hidden)"}
    assert result["diff"]["after"] == {"payload": "(hidden, changed)"}
    holds_no_secret(result)


def test_if_absent_does_not_look_into_versions(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    lists(cloud, 3)
    assert not play(gcp_secret, name="password", payload=NEW, payload_policy="if_absent")["changed"]


def test_if_absent_adds_where_there_is_none(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    lists(cloud)
    lists_disabled(cloud)
    adds(cloud, NEW)
    cloud.get("secretmanager", ONE, SECRET)
    lists(cloud, 4)
    result = play(gcp_secret, name="password", payload=NEW, payload_policy="if_absent")
    assert result["changed"]
    holds_no_secret(result)


LOST = [requests.ConnectionError("reset"), error(503, "UNAVAILABLE")]


def loses(cloud: Cloud, text: str, answer: Any) -> None:
    body = {"payload": {"data": encoded(text), "dataCrc32c": str(gcp_secret.crc32c(text.encode()))}}
    status = 200 if isinstance(answer, Exception) else answer["error"]["code"]
    cloud.expect("POST", "secretmanager", f"{ONE}:addVersion", answer, status=status, body=body)


@pytest.mark.parametrize("added", [True, False], ids=["answer lost", "request lost"])
@pytest.mark.parametrize("answer", LOST, ids=["reset", "503"])
def test_a_version_is_not_added_twice_when_the_answer_is_lost(
    cloud: Cloud, play: Play, answer: Any, added: bool
) -> None:
    """The module looks for the version, and adds it again only if the first request was lost, too."""
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD)
    loses(cloud, NEW, answer)
    lists(cloud, 4 if added else 3)
    accesses_number(cloud, *((4, NEW) if added else (3, OLD)))
    if not added:
        adds(cloud, NEW)
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 4, NEW)
    result = play(gcp_secret, name="password", payload=NEW)
    assert (result["changed"], result["version"]) == (True, "4")
    holds_no_secret(result)


def test_returns_the_payload(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, "hællo\n")
    result = play(gcp_secret, name="password", return_payload=True)
    assert not result["changed"]
    assert result["payload"] == "hællo\n"
    assert "payload" not in result["resource"]


def test_returns_the_payload_beside_a_planned_change(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD)
    result = play(gcp_secret, check=True, name="password", labels={}, return_payload=True)
    assert result["changed"]
    assert result.pop("payload") == OLD
    holds_no_secret(result)


def test_returns_the_newest_enabled_payload(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    has_no_latest(cloud, 400)
    lists(cloud, 3)
    accesses_number(cloud, 3, OLD)
    result = play(gcp_secret, name="password", return_payload=True)
    assert (result["payload"], result["version"]) == (OLD, "3")


def test_a_payload_that_may_not_be_read_is_an_error(cloud: Cloud, play: Play) -> None:
    """Without the error, the module would add a version."""
    cloud.get("secretmanager", ONE, SECRET)
    has_no_latest(cloud, 403)
    assert "HTTP 403" in play(gcp_secret, fails=True, name="password", payload=NEW)["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_returns_null_where_there_is_no_version(cloud: Cloud, play: Play, check: bool) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    has_no_latest(cloud)
    lists(cloud)
    lists_disabled(cloud)
    result = play(gcp_secret, check=check, name="password", return_payload=True)
    assert not result["changed"]
    assert result["payload"] is None


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("options", [{"payload": NEW, "payload_policy": "if_absent"}, {"return_payload": True}])
def test_does_not_replace_a_disabled_version(cloud: Cloud, play: Play, check: bool, options: dict[str, Any]) -> None:
    """The version was disabled. A new password, key or CA would lock all clients out."""
    cloud.get("secretmanager", ONE, SECRET)
    if "return_payload" in options:
        has_no_latest(cloud, 400)
    lists(cloud)
    lists_disabled(cloud, 3)
    result = play(gcp_secret, check=check, fails=True, name="password", **options)
    assert "secret password has no enabled version, and version 3 is disabled" in result["msg"]
    assert "`gcloud secrets versions enable 3 --secret=password --project=my-project`" in result["msg"]


def test_tells_a_damaged_payload(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD, dataCrc32c="1")
    result = play(gcp_secret, fails=True, name="password", return_payload=True)
    assert "wrong checksum" in result["msg"]
    holds_no_secret(result)


def test_payload_and_its_return_exclude_each_other(play: Play) -> None:
    assert (
        "mutually exclusive" in play(gcp_secret, fails=True, name="password", payload=NEW, return_payload=True)["msg"]
    )


@pytest.mark.parametrize(("text", "size"), [("", 0), ("x" * 65537, 65537), ("é" * 32769, 65538)])
def test_refuses_a_payload_of_the_wrong_size_before_any_request(cloud: Cloud, play: Play, text: str, size: int) -> None:
    result = play(gcp_secret, fails=True, check=True, name="password", payload=text)
    assert f"{size} bytes" in result["msg"]
    assert not cloud.requests


def test_removes_a_label(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    body = {"labels": {"app": "mlflow"}}
    cloud.expect("PATCH", "secretmanager", ONE, SECRET, body=body, query={"updateMask": "labels"})
    cloud.get("secretmanager", ONE, SECRET | body)
    result = play(gcp_secret, name="password", labels={"app": "mlflow"})
    assert result["changed"]
    assert result["diff"]["before"] == {"labels": {"app": "mlflow", "team": "ml"}}
    assert result["diff"]["after"] == {"labels": {"app": "mlflow"}}


def test_refuses_to_move(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    result = play(gcp_secret, fails=True, check=True, name="password", locations=["europe-west1"])
    assert "secret password cannot change locations" in result["msg"]


def test_an_empty_list_is_automatic_replication(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, None)
    body = {"replication": {"automatic": {}}}
    cloud.expect("POST", "secretmanager", ALL, SECRET, body=body, query={"secretId": "password"})
    cloud.get("secretmanager", ONE, SECRET)
    assert play(gcp_secret, name="password", locations=[])["changed"]
    cloud.get("secretmanager", ONE, SECRET)
    assert not play(gcp_secret, name="password", locations=[])["changed"]


def test_refuses_to_go_back_to_automatic_replication(cloud: Cloud, play: Play) -> None:
    replication = {"userManaged": {"replicas": [{"location": "europe-west1"}]}}
    cloud.get("secretmanager", ONE, SECRET | {"replication": replication})
    result = play(gcp_secret, fails=True, name="password", locations=[])
    assert "(current: europe-west1; desired: all locations of Google (automatic replication))" in result["msg"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    assert play(gcp_secret, check=True, name="password", state="absent")["changed"]
    cloud.get("secretmanager", ONE, SECRET)
    cloud.expect("DELETE", "secretmanager", ONE)
    result = play(gcp_secret, name="password", state="absent")
    assert result["changed"]
    assert result["resource"] is None
    cloud.get("secretmanager", ONE, None)
    assert not play(gcp_secret, name="password", state="absent")["changed"]


def versions_of(cloud: Cloud, *states: str, **kwargs: Any) -> None:
    """Expect a request for all versions, newest first."""
    numbers = range(len(states), 0, -1)
    versions = [
        {"name": f"projects/42/secrets/password/versions/{number}", "state": state}
        for number, state in zip(numbers, states, strict=True)
        if not kwargs or state == "ENABLED"
    ]
    cloud.get("secretmanager", f"{ONE}/versions", {"versions": versions}, **kwargs)


def test_tells_the_version_that_was_added(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 3, OLD)
    adds(cloud, NEW)
    cloud.get("secretmanager", ONE, SECRET)
    accesses(cloud, 4, NEW)
    assert play(gcp_secret, name="password", payload=NEW)["version"] == "4"


ENABLED_ONLY = {"query": {"filter": "state:ENABLED"}}


def test_disables_older_versions(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "ENABLED", "ENABLED", "DISABLED", "DESTROYED", "ENABLED", **ENABLED_ONLY)
    cloud.expect("POST", "secretmanager", f"{ONE}/versions/4:disable", body={})
    cloud.expect("POST", "secretmanager", f"{ONE}/versions/1:disable", body={})
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "ENABLED", "DISABLED", "DISABLED", "DESTROYED", "DISABLED", **ENABLED_ONLY)
    result = play(gcp_secret, name="password", older_versions="disabled")
    assert result["changed"]
    assert result["version"] == "5"
    assert result["diff"]["after"] == {"olderVersions": "disabled"}


def test_destroys_disabled_ones_too_but_nothing_newer(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "DISABLED", "ENABLED", "DISABLED", "DESTROYED")
    cloud.expect("POST", "secretmanager", f"{ONE}/versions/2:destroy", body={})
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "DISABLED", "ENABLED", "DESTROYED", "DESTROYED")
    assert play(gcp_secret, name="password", older_versions="destroyed")["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_has_nothing_older_to_disable(cloud: Cloud, play: Play, check: bool) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "ENABLED", "DISABLED", **ENABLED_ONLY)
    assert not play(gcp_secret, check=check, name="password", older_versions="disabled")["changed"]


def test_keeps_all_where_none_is_enabled(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, SECRET)
    versions_of(cloud, "DISABLED", "DESTROYED")
    result = play(gcp_secret, name="password", older_versions="destroyed")
    assert not result["changed"]
    assert result["version"] is None


def test_a_plan_tells_that_there_is_no_version(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ONE, None)
    assert play(gcp_secret, check=True, name="password", older_versions="disabled")["version"] is None
