# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 3 without a module: the requests and pauses of a resource, and its names."""

from __future__ import annotations

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client, GoogleError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Map

from tests.unit.harness import Cloud, FakeClock
from tests.unit.module_utils.box import ALL, ONE, Box, BucketLikeBox, Json, MaskedBox, box, there


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


# -- requests


def test_a_patch_without_the_guard_in_the_resource(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, there(size="2"))
    assert box(client, size="2").converge("present").changed


def test_a_creation_has_its_query(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "create_query", {"boxId": "{name}"})
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"}, query={"boxId": "b"})
    box(client).resource.create({"name": "b"})


def test_a_merge_patch_removes_labels(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(labels={"goog-x": "1", "old": "1", "same": "1"}))
    cloud.expect("PATCH", "compute", ONE, {}, body={"labels": {"new": "1", "same": "1", "old": None}})
    cloud.get("compute", ONE, there(labels={"new": "1", "same": "1"}))
    assert box(client, labels={"new": "1", "same": "1"}).converge("present").changed


def test_a_mask_has_the_changed_paths_only(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1", ranges=["a"], labels={"goog-x": "1", "old": "1"}))
    body = {"size": "2", "labels": {"new": "1", "goog-x": "1"}}
    cloud.expect("PATCH", "compute", ONE, {}, body=body, query={"updateMask": "size,labels"})
    cloud.get("compute", ONE, there(size="2", ranges=["a"], labels={"new": "1"}))
    changes = {"size": "2", "ranges": ["a"], "labels": {"new": "1"}}
    assert box(client, kind=MaskedBox, **changes).converge("present").changed


def test_a_bucket_is_guarded_by_its_metageneration(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1", metageneration="7"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"}, query={"ifMetagenerationMatch": "7"})
    cloud.get("compute", ONE, there(size="2"))
    assert box(client, kind=BucketLikeBox, size="2").converge("present").changed


@pytest.mark.parametrize(
    ("current", "sent"),
    [
        ({}, {"labels": {"a": "1"}, "labelFingerprint": ""}),
        (
            {"labelFingerprint": "l1", "labels": {"goog-x": "1", "b": "2"}},
            {"labels": {"goog-x": "1", "a": "1"}, "labelFingerprint": "l1"},
        ),
    ],
)
def test_set_labels_keeps_the_labels_of_google(cloud: Cloud, client: Client, current: Json, sent: Json) -> None:
    cloud.expect("POST", "compute", f"{ONE}/setLabels", {}, body=sent)
    box(client).resource.set_labels({"labels": Map({"a": "1"})}, current)


@pytest.mark.parametrize("wait", [True, False])
def test_an_operation_is_awaited_if_wait_is_set(cloud: Cloud, client: Client, wait: bool) -> None:
    resource = box(client, wait=wait).resource
    running = {
        "kind": "compute#operation",
        "name": "o",
        "status": "RUNNING",
        "selfLink": "https://x/projects/p/global/operations/o",
    }
    cloud.expect("POST", "compute", ONE, running)
    if wait:
        cloud.expect("POST", "compute", "projects/p/global/operations/o/wait", running | {"status": "DONE"})
    assert resource.call("POST", ONE)["status"] == ("DONE" if wait else "RUNNING")
    cloud.expect("POST", "compute", ONE, {"name": "no operation"})
    assert resource.call("POST", ONE) == {"name": "no operation"}
    # An operation that ended with an error fails in both cases.
    failed = running | {"status": "DONE", "error": {"errors": [{"code": "BAD", "message": "why"}]}}
    cloud.expect("POST", "compute", ONE, failed)
    with pytest.raises(GoogleError, match="why"):
        resource.call("POST", ONE)


def test_a_call_of_another_api(cloud: Cloud, client: Client) -> None:
    cloud.expect("POST", "sql", "v1/x", {"name": "y"}, body={"a": 1}, query={"b": "2"})
    assert box(client).resource.call("POST", "v1/x", {"a": 1}, {"b": "2"}, api="sql") == {"name": "y"}


def test_a_request_that_must_not_run_twice_is_not_repeated(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    cloud.fails("POST", "compute", ONE, 503, "backendError")
    with pytest.raises(GoogleError, match="backendError"):
        box(client).resource.call("POST", ONE, idempotent=False)
    assert not clock.sleeps


def test_a_mutation_is_repeated_while_another_operation_runs(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    busy = {"errors": [{"code": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", "message": "wait"}]}
    for _ in range(5):
        cloud.mutates("POST", "compute", ONE, failure=busy)
    cloud.mutates("POST", "compute", ONE)
    box(client).resource.call("POST", ONE)
    assert clock.sleeps == [2.0, 4.0, 8.0, 15.0, 15.0]


# -- transitions


def test_a_transition_is_polled_until_the_deadline(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    resource = box(client).resource
    for status in ("PENDING", "PENDING", "PENDING", "PENDING", "PENDING", "READY"):
        cloud.get("compute", ONE, there(status=status))
    assert resource.settle(there(status="PENDING")) == there()
    assert clock.sleeps == [2.0, 4.0, 8.0, 15.0, 15.0]
    assert resource.settle(there()) == there()
    assert resource.settle(None) is None
    for _ in range(99):
        cloud.get("compute", ONE, there(status="PENDING"))
    cloud.script.assert_all_requests_are_fired = False
    with pytest.raises(GoogleError) as caught:
        resource.settle(there(status="PENDING"))
    assert (caught.value.code, caught.value.reason, caught.value.api) == (0, "deadlineExceeded", "compute")
    assert caught.value.message == "the state is still PENDING after 600 s"


def test_running_operations_end_before_the_first_poll(
    cloud: Cloud, client: Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {
        "kind": "compute#operation",
        "name": "o",
        "status": "RUNNING",
        "selfLink": "https://x/projects/p/global/operations/o",
    }
    monkeypatch.setattr(Box, "running_operations", lambda _: [running])
    cloud.expect("POST", "compute", "projects/p/global/operations/o/wait", running | {"status": "DONE"})
    cloud.get("compute", ONE, there())
    resource = box(client).resource
    assert resource.settle(there(status="PENDING")) == there()
    assert resource.settle(there()) == there()
    assert not clock.sleeps


# -- names and values


def test_titles_and_paths(client: Client) -> None:
    assert box(client).resource.title == "box b"
    assert Box(client, {"project": "p", "name": ""}).title == Box(client, {"project": "p"}).title == "box"
    assert box(client).resource.self_path == ONE


def test_the_project_number(cloud: Cloud, client: Client) -> None:
    assert Box(client, {"project": 42}).project_number == "42"
    cloud.get("cloudresourcemanager", "v1/projects/p", {"projectNumber": 7})
    resource = box(client).resource
    assert resource.project_number == resource.project_number == "7"


def test_suboptions_have_the_names_of_the_api(client: Client) -> None:
    resource = box(client, disk={"disk_type": "ssd", "ip_protocol": "tcp"}).resource
    assert resource.desired() == {"disk": {"diskType": "ssd", "IPProtocol": "tcp"}}


def test_secrets_below_an_option_hide_the_option(client: Client) -> None:
    resource = box(client).resource
    assert [option for option in Box.fields if resource.hides(option)] == ["token", "login", "note"]


# -- requests that must not run twice


def lost(code: int, reason: str, url: str = "https://x") -> GoogleError:
    return GoogleError(code, reason, "no", url=url)


@pytest.mark.parametrize("error", [lost(0, "connection"), lost(500, "internalError"), lost(503, "backendError")])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_response_is_repeated_only_if_the_request_did_not_arrive(
    client: Client, clock: FakeClock, error: GoogleError, arrived: bool
) -> None:
    sent: list[int] = []

    def send() -> None:
        sent.append(1)
        if len(sent) == 1:
            raise error

    box(client).resource.send_once(send, lambda: arrived)
    assert len(sent) == (1 if arrived else 2)
    assert clock.sleeps == [2.0]


@pytest.mark.parametrize(
    "error",
    [
        lost(499, "cancelled"),
        lost(400, "invalid"),
        lost(500, "internalError", url=""),
        lost(0, "deadlineExceeded", url=""),
        lost(0, "connection", url=""),
    ],
)
def test_another_error_is_not_repeated(client: Client, clock: FakeClock, error: GoogleError) -> None:
    sent: list[int] = []

    def send() -> None:
        sent.append(1)
        raise error

    with pytest.raises(GoogleError):
        box(client).resource.send_once(send, lambda: False)
    assert (len(sent), clock.sleeps) == (1, [])


def test_a_request_is_repeated_for_at_most_two_minutes(client: Client, clock: FakeClock) -> None:
    def send() -> None:
        raise lost(503, "backendError")

    with pytest.raises(GoogleError):
        box(client).resource.send_once(send, lambda: False)
    assert clock.sleeps == [2.0, 4.0, 8.0, *[15.0] * 7]
