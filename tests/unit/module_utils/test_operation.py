# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 2: wait for operations."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client, GoogleError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._operation import is_operation, wait

from tests.unit.harness import Cloud, FakeClock

ZONE = "projects/p/zones/europe-west1-b/operations/o1"
COMPUTE: dict[str, Any] = {
    "kind": "compute#operation",
    "name": "o1",
    "status": "RUNNING",
    "selfLink": f"https://www.googleapis.com/compute/v1/{ZONE}",
}
SQL: dict[str, Any] = {"kind": "sql#operation", "name": "o1", "targetProject": "p", "status": "PENDING"}
LONG: dict[str, Any] = {"name": "operations/o1"}
DNS: dict[str, Any] = {
    "kind": "dns#operation",
    "id": "o1",
    "status": "pending",
    "zoneContext": {"newValue": {"name": "example-com"}},
}


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


def test_compute_waits_in_the_operations_own_scope_until_done(cloud: Cloud, client: Client) -> None:
    cloud.expect("POST", "compute", f"{ZONE}/wait", COMPUTE)
    cloud.expect("POST", "compute", f"{ZONE}/wait", COMPUTE)
    cloud.expect("POST", "compute", f"{ZONE}/wait", COMPUTE | {"status": "DONE"})
    assert wait(client, "compute", COMPUTE)["status"] == "DONE"


def test_sql_is_polled_at_growing_intervals(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    for status in ("PENDING", "RUNNING", "RUNNING", "RUNNING", "RUNNING", "DONE"):
        cloud.get("sql", "v1/projects/p/operations/o1", SQL | {"status": status})
    assert wait(client, "sql", SQL)["status"] == "DONE"
    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_dns_is_polled_in_the_managed_zone(cloud: Cloud, clock: FakeClock) -> None:
    client = Client(requests.Session(), project="p", timeout=600, clock=clock, environ={})
    path = "projects/p/managedZones/example-com/operations/o1"
    cloud.get("dns", path, DNS)
    cloud.get("dns", path, DNS | {"status": "done"})
    assert is_operation("dns", DNS)
    assert not is_operation("dns", {"kind": "dns#managedZone", "name": "example-com"})
    assert wait(client, "dns", DNS)["status"] == "done"


@pytest.mark.parametrize("api", ["servicenetworking", "serviceusage"])
def test_long_running_operations_are_polled(cloud: Cloud, client: Client, api: str) -> None:
    cloud.get(api, "v1/operations/o1", LONG)
    cloud.get(api, "v1/operations/o1", LONG | {"done": True, "response": {"a": 1}})
    assert wait(client, api, LONG)["response"] == {"a": 1}


@pytest.mark.parametrize(
    ("api", "operation"),
    [
        ("compute", COMPUTE | {"status": "DONE"}),
        ("dns", DNS | {"status": "done"}),
        ("sql", SQL | {"status": "DONE"}),
        ("serviceusage", {"done": True}),
    ],
)
def test_a_finished_operation_is_not_polled(cloud: Cloud, client: Client, api: str, operation: dict[str, Any]) -> None:
    assert wait(client, api, operation) == operation


@pytest.mark.parametrize(
    ("api", "operation", "code", "reason"),
    [
        (
            "compute",
            COMPUTE
            | {
                "status": "DONE",
                "httpErrorStatusCode": 403,
                "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "why"}]},
            },
            403,
            "QUOTA_EXCEEDED",
        ),
        ("sql", SQL | {"status": "DONE", "error": {"errors": [{"code": "INTERNAL", "message": "why"}]}}, 0, "INTERNAL"),
        ("servicenetworking", LONG | {"done": True, "error": {"code": 9, "message": "why"}}, 400, "operationFailed"),
        (
            "serviceusage",
            LONG | {"done": True, "error": {"code": 7, "message": "why", "details": [{"reason": "NO"}]}},
            403,
            "NO",
        ),
    ],
)
def test_an_error_inside_an_http_200_is_an_error(
    client: Client, api: str, operation: dict[str, Any], code: int, reason: str
) -> None:
    with pytest.raises(GoogleError, match="why") as caught:
        wait(client, api, operation)
    assert (caught.value.code, caught.value.reason) == (code, reason)


def test_stops_at_the_deadline_and_names_the_operation(cloud: Cloud, clock: FakeClock) -> None:
    client = Client(requests.Session(), timeout=10, clock=clock, rand=lambda: 1.0, environ={})
    for _ in range(3):
        cloud.get("sql", "v1/projects/p/operations/o1", SQL)
    with pytest.raises(GoogleError, match="operation o1 is still running after 10 s") as caught:
        wait(client, "sql", SQL)
    assert caught.value.reason == "deadlineExceeded"
    assert sum(clock.sleeps) < 10


def test_a_late_operation_of_dns_has_an_id(cloud: Cloud, clock: FakeClock) -> None:
    client = Client(requests.Session(), project="p", timeout=1, clock=clock, rand=lambda: 1.0, environ={})
    with pytest.raises(GoogleError, match="operation o1 is still running after 1 s"):
        wait(client, "dns", DNS)


def test_a_poll_that_fails_for_a_moment_is_repeated(cloud: Cloud, client: Client) -> None:
    cloud.fails("GET", "sql", "v1/projects/p/operations/o1", 503, "backendError")
    cloud.get("sql", "v1/projects/p/operations/o1", SQL | {"status": "DONE"})
    assert wait(client, "sql", SQL)["status"] == "DONE"


def test_tells_operations_from_resources() -> None:
    assert is_operation("compute", COMPUTE)
    assert is_operation("sql", SQL)
    assert is_operation("servicenetworking", LONG)
    assert is_operation("serviceusage", {"name": "operations/noop.DONE_OPERATION", "done": True})
    assert not is_operation("compute", {"kind": "compute#network", "name": "operations"})
    assert not is_operation("secretmanager", {"name": "projects/1/secrets/s"})
    assert not is_operation("storage", {"kind": "storage#bucket", "name": "b"})


def test_a_line_that_was_held_until_the_deadline_is_no_network_trouble(
    cloud: Cloud, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(requests.Session(), timeout=60, clock=clock, rand=lambda: 1.0, environ={})

    def held(*args: Any, timeout: tuple[float, float], **kwargs: Any) -> Any:
        clock.time += timeout[1]
        raise requests.exceptions.ReadTimeout("Read timed out.")

    monkeypatch.setattr(client.session, "request", held)
    with pytest.raises(GoogleError, match="operation o1 is still running after 60 s") as caught:
        wait(client, "compute", COMPUTE)
    assert caught.value.reason == "deadlineExceeded"
