# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 1: retries, pages, deadlines, endpoints, errors."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import ENDPOINTS, Client, GoogleError
from google.auth import exceptions

from tests.unit.harness import Cloud, FakeClock, error


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (429, "rateLimitExceeded", "slow down"),
        (500, "backendError", ""),
        (502, "", ""),
        (503, "backendError", ""),
        (403, "rateLimitExceeded", "slow down"),
        (403, "quotaExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'"),
        (400, "resourceNotReady", "The resource is not ready"),
        (400, "failedPrecondition", "There is a peering operation in progress on the local or peer network"),
        (409, "operationInProgress", "another operation was already in progress"),
        (403, "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", "Rate Limit Exceeded"),
    ],
)
def test_repeats_a_request_after_a_temporary_error(
    cloud: Cloud, client: Client, clock: FakeClock, status: int, reason: str, message: str
) -> None:
    for _ in range(3):
        cloud.fails("POST", "sql", "v1/x", status, reason, message, body={"a": 1})
    cloud.expect("POST", "sql", "v1/x", {"ok": True}, body={"a": 1})
    assert client.request("POST", "sql", "v1/x", body={"a": 1}) == {"ok": True}
    assert clock.sleeps == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (400, "invalid", "bad name"),
        (401, "authError", ""),
        (403, "forbidden", ""),
        (403, "quotaExceeded", "Quota 'NETWORKS' exceeded. Limit: 5.0 globally"),
        (429, "quotaExceeded", "Quota 'NETWORKS' exceeded. Limit: 5.0 globally"),
        (404, "notFound", ""),
        (409, "alreadyExists", ""),
        (412, "conditionNotMet", ""),
        (501, "notImplemented", ""),
    ],
)
def test_does_not_repeat_a_request_after_a_permanent_error(
    cloud: Cloud, client: Client, clock: FakeClock, status: int, reason: str, message: str
) -> None:
    cloud.fails("GET", "sql", "v1/x", status, reason, message)
    with pytest.raises(GoogleError) as caught:
        client.get("sql", "v1/x")
    assert (caught.value.code, caught.value.reason) == (status, reason)
    assert not clock.sleeps


def test_a_request_that_must_not_run_twice_is_only_repeated_where_nothing_was_done(
    cloud: Cloud, client: Client
) -> None:
    cloud.fails("POST", "secretmanager", "v1/s:addVersion", 429, "rateLimitExceeded")
    cloud.fails("POST", "secretmanager", "v1/s:addVersion", 503, "backendError")
    with pytest.raises(GoogleError, match="HTTP 503"):
        client.request("POST", "secretmanager", "v1/s:addVersion", idempotent=False)


def test_honours_retry_after(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    cloud.expect("GET", "sql", "v1/x", error(503, ""), status=503, headers={"Retry-After": "17"})
    cloud.expect("GET", "sql", "v1/x", {})
    client.get("sql", "v1/x")
    assert clock.sleeps == [17.0]


def test_honours_a_long_retry_after_once(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    for _ in range(2):
        cloud.expect("GET", "sql", "v1/x", error(503, ""), status=503, headers={"Retry-After": "200"})
    with pytest.raises(GoogleError, match="gave up after 2 attempts"):
        client.get("sql", "v1/x")
    assert clock.sleeps == [200.0]


def test_gives_up_on_one_request_after_two_minutes(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    for _ in range(8):
        cloud.fails("GET", "sql", "v1/x", 503, "backendError", "down")
    with pytest.raises(GoogleError, match=r"down \(gave up after 8 attempts\)"):
        client.get("sql", "v1/x")
    assert sum(clock.sleeps) <= 120


def test_waits_for_an_instances_other_operation_as_long_as_the_deadline_lets(
    cloud: Cloud, client: Client, clock: FakeClock
) -> None:
    for _ in range(15):
        cloud.fails("PATCH", "sql", "v1/x", 409, "operationInProgress")
    cloud.expect("PATCH", "sql", "v1/x", {})
    client.request("PATCH", "sql", "v1/x")
    assert 120 < sum(clock.sleeps) < 600


def test_never_sleeps_past_the_deadline(cloud: Cloud, clock: FakeClock) -> None:
    client = Client(requests.Session(), timeout=5, clock=clock, rand=lambda: 1.0, environ={})
    for _ in range(3):
        cloud.fails("GET", "sql", "v1/x", 503, "backendError")
    with pytest.raises(GoogleError, match="gave up after 3 attempts"):
        client.get("sql", "v1/x")
    assert sum(clock.sleeps) < 5


def test_a_lost_connection_is_tried_five_times(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    for _ in range(5):
        cloud.expect("GET", "sql", "v1/x", requests.exceptions.ConnectionError("reset by peer"))
    with pytest.raises(GoogleError, match="reset by peer") as caught:
        client.get("sql", "v1/x")
    assert (caught.value.code, caught.value.reason, len(clock.sleeps)) == (0, "connection", 4)


@pytest.mark.parametrize(
    ("trouble", "code", "reason"),
    [
        (exceptions.RefreshError("token expired"), 401, "credentials"),
        (requests.exceptions.SSLError("self-signed"), 0, "tls"),
    ],
)
def test_bad_credentials_and_bad_certificates_are_told_at_once(
    cloud: Cloud, client: Client, clock: FakeClock, trouble: Exception, code: int, reason: str
) -> None:
    cloud.expect("GET", "sql", "v1/x", trouble)
    with pytest.raises(GoogleError) as caught:
        client.get("sql", "v1/x")
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert not clock.sleeps


def test_an_empty_page_may_have_a_next_one(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", "projects/p/x", {"items": [1], "nextPageToken": "a"}, query={"filter": "f"})
    cloud.get("compute", "projects/p/x", {"nextPageToken": "b"}, query={"filter": "f", "pageToken": "a"})
    cloud.get("compute", "projects/p/x", {"items": [2, 3]}, query={"filter": "f", "pageToken": "b"})
    assert list(client.items("compute", "projects/p/x", params={"filter": "f"})) == [1, 2, 3]


def test_absent_is_404_and_never_403(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", "projects/p/x", None)
    assert client.find("compute", "projects/p/x") is None
    cloud.fails("GET", "compute", "projects/p/x", 403, "forbidden")
    with pytest.raises(GoogleError):
        client.find("compute", "projects/p/x")


@pytest.mark.parametrize("api", sorted(ENDPOINTS))
def test_endpoints_are_overridden_as_for_gcloud(api: str) -> None:
    environ = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": "http://127.0.0.1:8787/some/where"}
    assert Client(requests.Session(), environ=environ).base(api) == "http://127.0.0.1:8787/some/where/"
    assert Client(requests.Session(), environ={}).base(api) == ENDPOINTS[api]


@pytest.mark.parametrize(
    ("answer", "status", "reason", "message"),
    [
        ({"error": {"code": 403, "message": "m", "status": "PERMISSION_DENIED"}}, 403, "PERMISSION_DENIED", "m"),
        (error(404, "notFound", "gone"), 404, "notFound", "gone"),
        (error(403, "forbidden", "x", details=[{"reason": "SERVICE_DISABLED"}]), 403, "SERVICE_DISABLED", "x"),
        ({"error": "invalid_grant", "error_description": "Bad"}, 400, "", "invalid_grant"),
        ("<html>\n proxy says no</html>", 407, "", "<html> proxy says no</html>"),
    ],
)
def test_reads_every_shape_of_error(
    cloud: Cloud, client: Client, answer: Any, status: int, reason: str, message: str
) -> None:
    cloud.expect("GET", "sql", "v1/x", answer, status=status)
    with pytest.raises(GoogleError) as caught:
        client.get("sql", "v1/x")
    assert (caught.value.code, caught.value.reason) == (status, reason)
    assert message in caught.value.message


def test_an_answer_that_is_not_json_is_an_error(cloud: Cloud, client: Client) -> None:
    cloud.expect("GET", "sql", "v1/x", "<html>log in to the hotel's network</html>")
    with pytest.raises(GoogleError, match="not JSON"):
        client.get("sql", "v1/x")


def test_a_request_that_failed_late_is_repeated(
    cloud: Cloud, client: Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = client.session.request

    def slow(*args: Any, **kwargs: Any) -> Any:
        clock.time += 120  # as long as Compute's operations.wait blocks
        return once(*args, **kwargs)

    monkeypatch.setattr(client.session, "request", slow)
    cloud.fails("POST", "compute", "projects/p/global/operations/o/wait", 503, "backendError")
    cloud.expect("POST", "compute", "projects/p/global/operations/o/wait", {"status": "DONE"})
    assert client.request("POST", "compute", "projects/p/global/operations/o/wait") == {"status": "DONE"}


def test_an_error_names_the_field_that_is_wrong(cloud: Cloud, client: Client) -> None:
    violations = [{"field": "secret.labels", "description": "no capitals"}]
    precondition = [{"type": "QUOTA", "subject": "projects/p", "description": "too many"}]
    details = [{"fieldViolations": violations}, {"violations": precondition}]
    cloud.fails("GET", "secretmanager", "v1/x", 400, "INVALID_ARGUMENT", "Invalid argument.", details=details)
    with pytest.raises(GoogleError) as caught:
        client.get("secretmanager", "v1/x")
    assert caught.value.message == "Invalid argument.; secret.labels: no capitals; projects/p: too many"


@pytest.mark.parametrize("key", ["metadata", "metadatas"])
def test_reads_the_details_of_either_spelling(key: str) -> None:
    assert GoogleError(403, "", "", [{key: {"service": "compute.googleapis.com"}}]).metadata("service")


SQL = "sqladmin.googleapis.com"
SERVICE = f"v1/projects/my-project/services/{SQL}"


def disabled(consumer: str, service: str = SQL) -> list[dict[str, Any]]:
    return [{"reason": "SERVICE_DISABLED", "metadata": {"service": service, "consumer": f"projects/{consumer}"}}]


@pytest.fixture
def in_project(clock: FakeClock) -> Client:
    return Client(requests.Session(), project="my-project", timeout=600, clock=clock, rand=lambda: 1.0, environ={})


def test_a_write_waits_for_an_api_that_was_enabled_a_moment_ago(
    cloud: Cloud, in_project: Client, clock: FakeClock
) -> None:
    for _ in range(3):
        cloud.fails("POST", "sql", "v1/x", 403, "accessNotConfigured", details=disabled("42"), body={"a": 1})
        cloud.get("serviceusage", SERVICE, {"name": f"projects/42/services/{SQL}", "state": "ENABLED"})
    cloud.expect("POST", "sql", "v1/x", {"ok": True}, body={"a": 1})
    assert in_project.request("POST", "sql", "v1/x", body={"a": 1}, idempotent=False) == {"ok": True}
    assert clock.sleeps == [1.0, 2.0, 4.0]


def test_storage_does_not_name_its_service(cloud: Cloud, in_project: Client) -> None:
    cloud.fails("GET", "storage", "b/x", 403, "accessNotConfigured")
    cloud.get("serviceusage", "v1/projects/my-project/services/storage.googleapis.com", {"state": "ENABLED"})
    cloud.get("storage", "b/x", {"name": "x"})
    assert in_project.get("storage", "b/x") == {"name": "x"}


@pytest.mark.parametrize("service", [{"name": f"projects/42/services/{SQL}", "state": "ENABLED"}, None])
def test_an_api_of_another_quota_project_is_not_waited_for(
    cloud: Cloud, in_project: Client, clock: FakeClock, service: dict[str, Any] | None
) -> None:
    gcloud = "764086051850"  # a known project of Google, even if Service Usage cannot be asked
    cloud.fails("POST", "sql", "v1/x", 403, "accessNotConfigured", details=disabled(gcloud))
    cloud.get("serviceusage", SERVICE, service)
    with pytest.raises(GoogleError) as caught:
        in_project.request("POST", "sql", "v1/x")
    assert (caught.value.reason, caught.value.service_disabled) == ("quotaProject", False)
    assert gcloud in str(caught.value)
    assert clock.sleeps == []


def test_an_api_that_is_not_enabled_is_not_waited_for(cloud: Cloud, in_project: Client, clock: FakeClock) -> None:
    cloud.fails("POST", "sql", "v1/x", 403, "accessNotConfigured", details=disabled("42"))
    cloud.get("serviceusage", SERVICE, {"name": f"projects/42/services/{SQL}", "state": "DISABLED"})
    with pytest.raises(GoogleError) as caught:
        in_project.request("POST", "sql", "v1/x")
    assert caught.value.service_disabled
    assert clock.sleeps == []


def test_impersonation_refused_keeps_the_details() -> None:
    answer = json.dumps(error(403, "forbidden", details=disabled("42", "iamcredentials.googleapis.com")))
    session = mock.Mock()
    session.request.side_effect = exceptions.RefreshError("Unable to acquire impersonated credentials", answer)
    with pytest.raises(GoogleError) as caught:
        Client(session, environ={}).get("compute", "x")
    assert (caught.value.code, caught.value.consumer) == (401, "42")
