# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_services

from tests.unit.harness import Cloud, FakeClock, Play

ALL = "v1/projects/my-project/services"


def host(name: str) -> str:
    return f"{name}.googleapis.com"


def reads(cloud: Cloud, states: dict[str, str]) -> None:
    services = [{"name": f"projects/42/services/{host(n)}", "state": state} for n, state in states.items()]
    # The harness shows only the last value of a repeated parameter.
    last = f"projects/my-project/services/{host(list(states)[-1])}"
    cloud.get("serviceusage", f"{ALL}:batchGet", {"services": services}, query={"names": last})


def test_enables_missing_services_and_waits_until_they_are_listed(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    reads(cloud, {"compute": "ENABLED", "iam": "DISABLED", "sqladmin": "DISABLED"})
    ids = {"serviceIds": [host("iam"), host("sqladmin")]}
    cloud.mutates("POST", "serviceusage", f"{ALL}:batchEnable", body=ids)
    reads(cloud, {"compute": "ENABLED", "iam": "ENABLED", "sqladmin": "DISABLED"})
    reads(cloud, {"compute": "ENABLED", "iam": "ENABLED", "sqladmin": "DISABLED"})
    reads(cloud, {"compute": "ENABLED", "iam": "ENABLED", "sqladmin": "ENABLED"})
    result = play(gcp_services, services=[host("compute"), host("iam"), host("sqladmin")])
    assert result["changed"]
    assert clock.sleeps
    assert result["resource"] == {host("compute"): "ENABLED", host("iam"): "ENABLED", host("sqladmin"): "ENABLED"}
    assert result["diff"]["before"]["services"][host("iam")] == "DISABLED"
    assert result["disabled"] == [host("iam"), host("sqladmin")]
    assert result["diff"]["after"]["services"][host("iam")] == "ENABLED"
    asked = parse_qs(urlsplit(cloud.requests[0].url).query)["names"]
    assert [name.rsplit("/", 1)[1] for name in asked] == [host("compute"), host("iam"), host("sqladmin")]


def test_leaves_enabled_ones_alone(cloud: Cloud, play: Play) -> None:
    reads(cloud, {"compute": "ENABLED"})
    result = play(gcp_services, services=[host("compute")])
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]
    assert (result["disabled"], result["project_number"]) == ([], "42")


def test_twenty_at_a_time(cloud: Cloud, play: Play) -> None:
    names = [f"s{number}" for number in range(41)]

    def look(state: str) -> None:
        for start in (0, 20, 40):
            reads(cloud, dict.fromkeys(names[start : start + 20], state))

    look("DISABLED")
    for start in (0, 20, 40):
        ids = [host(name) for name in names[start : start + 20]]
        cloud.mutates("POST", "serviceusage", f"{ALL}:batchEnable", body={"serviceIds": ids})
    look("ENABLED")
    assert play(gcp_services, services=[host(name) for name in names])["changed"]


def test_plans_without_enabling(cloud: Cloud, play: Play) -> None:
    reads(cloud, {"compute": "DISABLED"})
    result = play(gcp_services, check=True, services=[host("compute")])
    assert result["changed"]
    assert result["resource"] == {host("compute"): "ENABLED"}
    assert result["diff"]["after"] == {"services": {host("compute"): "ENABLED"}}


def test_enables_where_even_service_usage_is_off(cloud: Cloud, play: Play) -> None:
    detail = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "serviceusage.googleapis.com"}}]
    query = {"names": f"projects/my-project/services/{host('compute')}"}
    cloud.fails("GET", "serviceusage", f"{ALL}:batchGet", 403, "forbidden", details=detail, query=query)
    reads(cloud, {"compute": "DISABLED"})
    cloud.mutates("POST", "serviceusage", f"{ALL}:batchEnable", body={"serviceIds": [host("compute")]})
    reads(cloud, {"compute": "ENABLED"})
    assert play(gcp_services, services=[host("compute")])["changed"]
    counted_for = [request.headers.get("x-goog-user-project") for request in cloud.requests]
    assert counted_for == ["my-project", None, None, None, None]


@pytest.mark.parametrize(
    "failure",
    [
        (400, "FAILED_PRECONDITION", "Another activation or deactivation is in progress for this service."),
        {"code": 13, "message": "[encountered internal error: 160009 with failed services [compute]]"},
    ],
    ids=["activation", "160009"],
)
def test_repeats_a_failed_activation(cloud: Cloud, play: Play, failure: Any) -> None:
    body = {"serviceIds": [host("compute")]}
    reads(cloud, {"compute": "DISABLED"})
    for _ in range(2):
        if isinstance(failure, dict):
            cloud.mutates("POST", "serviceusage", f"{ALL}:batchEnable", body=body, failure=failure)
        else:
            cloud.fails("POST", "serviceusage", f"{ALL}:batchEnable", *failure, body=body)
    cloud.mutates("POST", "serviceusage", f"{ALL}:batchEnable", body=body)
    reads(cloud, {"compute": "ENABLED"})
    assert play(gcp_services, services=[host("compute")])["changed"]


def test_plans_where_even_service_usage_is_off(cloud: Cloud, play: Play) -> None:
    detail = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "serviceusage.googleapis.com"}}]
    query = {"names": f"projects/my-project/services/{host('compute')}"}
    for _ in range(2):  # in the quota project, and without a quota project
        cloud.fails("GET", "serviceusage", f"{ALL}:batchGet", 403, "forbidden", details=detail, query=query)
    result = play(gcp_services, check=True, services=[host("compute")])
    assert [request.headers.get("x-goog-user-project") for request in cloud.requests] == ["my-project", None]
    assert result["changed"]
    assert result["resource"] == {host("compute"): "ENABLED"}


def test_tells_which_service_could_not_be_enabled(cloud: Cloud, play: Play) -> None:
    reads(cloud, {"compute": "DISABLED"})
    failures: list[dict[str, Any]] = [{"serviceId": host("compute"), "errorMessage": "billing must be enabled"}]
    operation = {"name": "operations/1", "done": True, "response": {"failures": failures}}
    cloud.expect("POST", "serviceusage", f"{ALL}:batchEnable", operation, body={"serviceIds": [host("compute")]})
    result = play(gcp_services, fails=True, services=[host("compute")])
    assert f"{host('compute')}: billing must be enabled" in result["msg"]


def test_disables_only_when_absent(cloud: Cloud, play: Play) -> None:
    reads(cloud, {"compute": "ENABLED", "iam": "DISABLED"})
    cloud.mutates("POST", "serviceusage", f"{ALL}/{host('compute')}:disable", body={})
    result = play(gcp_services, services=[host("compute"), host("iam")], state="absent")
    assert result["changed"]
    assert result["resource"] is None


def test_disables_nothing_twice_nor_in_check_mode(cloud: Cloud, play: Play) -> None:
    reads(cloud, {"compute": "DISABLED"})
    assert not play(gcp_services, services=[host("compute")], state="absent")["changed"]
    reads(cloud, {"compute": "ENABLED"})
    assert play(gcp_services, check=True, services=[host("compute")], state="absent")["changed"]
