# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_dns_zone

from tests.unit.harness import Cloud, Play

ALL = "projects/my-project/managedZones"
ONE = f"{ALL}/example-com"
SERVERS = [f"ns-cloud-a{number}.googledomains.com." for number in range(1, 5)]
ZONE: dict[str, Any] = {
    "kind": "dns#managedZone",
    "id": "1234567890",
    "name": "example-com",
    "dnsName": "example.com.",
    "description": "DNS zone example.com",
    "labels": {"app": "mlflow", "goog-managed": "yes"},
    "dnssecConfig": {"state": "off", "nonExistence": "nsec3"},
    "visibility": "public",
    "nameServers": SERVERS,
}
PENDING: dict[str, Any] = {
    "kind": "dns#operation",
    "id": "operation-1",
    "status": "pending",
    "zoneContext": {"newValue": {"name": "example-com"}},
}
DONE = PENDING | {"status": "done"}


def run(play: Play, **params: Any) -> dict[str, Any]:
    return play(gcp_dns_zone, **{"name": "example-com", "dns_name": "example.com", **params})


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, None)
    body = {
        "name": "example-com",
        "dnsName": "example.com.",
        "description": "The zone",
        "labels": {"app": "mlflow"},
        "dnssecConfig": {"state": "on"},
    }
    cloud.expect("POST", "dns", ALL, ZONE, body=body)
    cloud.get("dns", ONE, ZONE)
    result = run(play, description="The zone", labels={"app": "mlflow"}, dnssec_config={"state": "on"})
    assert result["changed"]
    assert result["resource"]["nameServers"] == SERVERS
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == {key: value for key, value in body.items() if key != "name"}


def test_creates_with_a_description_because_google_requires_one(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, None)
    body = {"name": "example-com", "dnsName": "example.com.", "description": "DNS zone example.com"}
    cloud.expect("POST", "dns", ALL, ZONE, body=body)
    cloud.get("dns", ONE, ZONE)
    assert run(play)["changed"]


def test_plans_the_creation_without_it(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, None)
    result = run(play, check=True)
    assert result["changed"]
    assert result["diff"]["after"] == {"dnsName": "example.com."}


@pytest.mark.parametrize("dns_name", ["example.com", "example.com.", "Example.COM"])
def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play, dns_name: str) -> None:
    cloud.get("dns", ONE, ZONE)
    # YAML's unquoted off is false.
    result = run(play, dns_name=dns_name, labels={"app": "mlflow"}, dnssec_config={"state": False})
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_updates_only_what_differs_and_waits(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    changes = {"description": "New", "dnssecConfig": {"state": "on"}}
    cloud.expect("PATCH", "dns", ONE, PENDING, body=changes)
    cloud.get("dns", f"{ONE}/operations/operation-1", PENDING)
    cloud.get("dns", f"{ONE}/operations/operation-1", DONE)
    cloud.get("dns", ONE, ZONE | changes)
    result = run(play, description="New", labels={"app": "mlflow"}, dnssec_config={"state": "on"})
    assert result["changed"]
    assert result["resource"]["description"] == "New"
    assert result["diff"]["before"]["dnssecConfig"] == {"state": "off"}
    assert result["diff"]["after"]["dnssecConfig"] == {"state": "on"}


def test_replaces_the_labels_and_nothing_else(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    desired = ZONE | {"labels": {"team": "data", "goog-managed": "yes"}}
    cloud.expect("PUT", "dns", ONE, DONE, body=desired)
    cloud.get("dns", ONE, desired)
    result = run(play, labels={"team": "data"})
    assert result["changed"]
    assert result["resource"] == desired


def test_plans_the_update_without_it(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    result = run(play, check=True, description="New")
    assert result["changed"]
    assert result["diff"]["before"]["description"] == "DNS zone example.com"
    assert result["diff"]["after"]["description"] == "New"


def test_refuses_to_change_the_dns_name(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    message = run(play, fails=True, check=True, dns_name="example.org")["msg"]
    assert (
        "managed zone example-com cannot change dns_name (current: 'example.com.'; desired: 'example.org.')" in message
    )


@pytest.mark.parametrize("dns_name", ["", ".", "a b.example.com", "example..com", f"{'a' * 64}.com"])
def test_refuses_a_wrong_dns_name_before_any_request(cloud: Cloud, play: Play, dns_name: str) -> None:
    assert "it is not a full DNS name, such as" in run(play, fails=True, dns_name=dns_name)["msg"]


def test_needs_a_dns_name_only_to_be_present(cloud: Cloud, play: Play) -> None:
    assert "dns_name" in run(play, fails=True, dns_name=None)["msg"]
    cloud.get("dns", ONE, None)
    assert not run(play, dns_name=None, state="absent")["changed"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    assert run(play, check=True, state="absent")["changed"]
    cloud.get("dns", ONE, ZONE)
    cloud.expect("DELETE", "dns", ONE, "", status=204)
    result = run(play, state="absent")
    assert result["changed"]
    assert result["resource"] is None
    assert result["diff"]["before"]["dnsName"] == "example.com."
    cloud.get("dns", ONE, None)
    assert not run(play, state="absent")["changed"]


def test_refuses_to_delete_a_zone_with_records(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    said = "The resource named 'example-com' cannot be deleted because it contains one or more 'resource records'."
    cloud.fails("DELETE", "dns", ONE, 400, "containerNotEmpty", said)
    result = run(play, fails=True, state="absent")
    assert result["msg"].startswith(f"Cannot delete managed zone example-com in project my-project: {said}")
    assert "gcloud dns record-sets list --zone=example-com --project=my-project" in result["msg"]
    assert not result["changed"]


def test_a_zone_of_another_project(cloud: Cloud, play: Play) -> None:
    path = "projects/dns-project/managedZones"
    cloud.get("dns", f"{path}/example-com", None)
    body = {"name": "example-com", "dnsName": "example.com.", "description": "DNS zone example.com"}
    cloud.fails("POST", "dns", path, 403, "forbidden", "Forbidden", body=body)
    message = run(play, fails=True, project="dns-project")["msg"]
    assert "Cannot create managed zone example-com in project dns-project: Forbidden" in message
    assert "gcloud projects add-iam-policy-binding dns-project" in message


def test_names_the_api_to_enable(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "dns", ONE, 403, "accessNotConfigured", "Cloud DNS API has not been used")
    cloud.fails("GET", "serviceusage", "v1/projects/my-project/services/dns.googleapis.com", 403, "forbidden")
    assert "gcloud services enable dns.googleapis.com --project=my-project" in run(play, fails=True)["msg"]


def test_a_zone_that_another_client_created_first_is_compared(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, None)
    body = {"name": "example-com", "dnsName": "example.com.", "description": "New"}
    said = "The resource 'entity.managedZone' named 'example-com' already exists"
    cloud.fails("POST", "dns", ALL, 409, "alreadyExists", said, body=body)
    cloud.get("dns", ONE, ZONE)
    cloud.expect("PATCH", "dns", ONE, DONE, body={"description": "New"})
    cloud.get("dns", ONE, ZONE | {"description": "New"})
    assert run(play, description="New")["changed"]


def test_updates_again_after_a_concurrent_change(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ONE, ZONE)
    cloud.fails("PATCH", "dns", ONE, 412, "conditionNotMet", body={"description": "New"})
    cloud.get("dns", ONE, ZONE | {"description": "Other"})
    cloud.expect("PATCH", "dns", ONE, DONE, body={"description": "New"})
    cloud.get("dns", ONE, ZONE | {"description": "New"})
    assert run(play, description="New")["resource"]["description"] == "New"


def test_repeats_requests_after_temporary_errors(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "dns", ONE, 503, "backendError")
    cloud.get("dns", ONE, ZONE)
    cloud.fails("DELETE", "dns", ONE, 429, "rateLimitExceeded")
    cloud.expect("DELETE", "dns", ONE, "", status=204)
    assert run(play, state="absent")["changed"]
