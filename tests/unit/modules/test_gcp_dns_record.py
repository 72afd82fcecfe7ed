# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_dns_record

from tests.unit.harness import Cloud, Play

ZONE_PATH = "projects/my-project/managedZones/example-com"
ALL = f"{ZONE_PATH}/rrsets"
ONE = f"{ALL}/mlflow.example.com./A"
ZONE: dict[str, Any] = {"name": "example-com", "dnsName": "example.com."}
SET: dict[str, Any] = {"name": "mlflow.example.com.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1", "192.0.2.2"]}
RETURNED = SET | {"kind": "dns#resourceRecordSet", "signatureRrdatas": []}
TITLE = "record set mlflow.example.com. of type A in managed zone example-com"


def run(play: Play, **params: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"zone": "example-com", "name": "mlflow.example.com", "type": "A", "ttl": 300}
    return play(gcp_dns_record, **{**options, "rrdatas": ["192.0.2.1", "192.0.2.2"], **params})


def reads(cloud: Cloud, found: dict[str, Any] | None, path: str = ONE) -> None:
    """Expect the first read of a run, which begins with the zone."""
    cloud.get("dns", ZONE_PATH, ZONE)
    cloud.get("dns", path, found)


def test_creates(cloud: Cloud, play: Play) -> None:
    reads(cloud, None)
    cloud.expect("POST", "dns", ALL, RETURNED, body=SET)
    cloud.get("dns", ONE, RETURNED)
    result = run(play)
    assert result["changed"]
    assert result["resource"] == RETURNED
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == SET


def test_plans_the_creation_without_it(cloud: Cloud, play: Play) -> None:
    reads(cloud, None)
    result = run(play, check=True)
    assert result["changed"]
    assert result["diff"]["after"] == SET


@pytest.mark.parametrize("name", ["mlflow.example.com", "mlflow.example.com.", "MLflow.Example.com"])
def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play, name: str) -> None:
    reads(cloud, RETURNED)
    result = run(play, name=name, rrdatas=["192.0.2.2", "192.0.2.1"])
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize(
    ("kind", "desired", "current"),
    [
        ("AAAA", ["2001:DB8::0:1"], ["2001:db8::1"]),
        ("CNAME", ["Host.example.org"], ["host.Example.org."]),
        ("MX", ["20 b.example.org", "10 a.example.org"], ["10 A.example.org.", "20 b.example.org."]),
        ("TXT", ["v=spf1 -all"], ['"v=spf1 -all"']),
        ("TXT", ['"token"'], ["token"]),
    ],
)
def test_another_spelling_is_no_difference(
    cloud: Cloud, play: Play, kind: str, desired: list[str], current: list[str]
) -> None:
    found = SET | {"name": "MLflow.example.com.", "type": kind, "rrdatas": current}
    reads(cloud, found, f"{ALL}/mlflow.example.com./{kind}")
    result = run(play, type=kind, rrdatas=desired)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_the_case_of_a_text_is_a_difference(cloud: Cloud, play: Play) -> None:
    reads(cloud, SET | {"type": "TXT", "rrdatas": ['"token"']}, f"{ALL}/mlflow.example.com./TXT")
    assert run(play, check=True, type="TXT", rrdatas=["Token"])["changed"]


def test_sends_data_as_google_requires_it(cloud: Cloud, play: Play) -> None:
    """Without quotes, Google splits a text at its spaces. A domain name must end with a dot."""
    long = "a" * 300
    for kind, given, sent in (
        ("TXT", "v=spf1 -all", '"v=spf1 -all"'),
        ("TXT", long, f'"{long[:255]}" "{long[255:]}"'),
        ("CNAME", "a.example.org", "a.example.org."),
    ):
        path = f"{ALL}/mlflow.example.com./{kind}"
        body = SET | {"type": kind, "rrdatas": [sent]}
        reads(cloud, None, path)
        cloud.expect("POST", "dns", ALL, body, body=body)
        cloud.get("dns", path, body)
        assert run(play, type=kind, rrdatas=[given])["changed"]


@pytest.mark.parametrize(
    "drift", [{"ttl": 60}, {"rrdatas": ["192.0.2.1"]}, {"rrdatas": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}]
)
def test_puts_drift_back(cloud: Cloud, play: Play, drift: dict[str, Any]) -> None:
    reads(cloud, RETURNED | drift)
    cloud.expect("PATCH", "dns", ONE, RETURNED, body=SET)
    cloud.get("dns", ONE, RETURNED)
    result = run(play)
    assert result["changed"]
    assert result["resource"] == RETURNED
    (option,) = drift
    assert result["diff"]["before"][option] == drift[option]
    assert result["diff"]["after"][option] == SET[option]


def test_plans_the_update_without_it(cloud: Cloud, play: Play) -> None:
    reads(cloud, RETURNED)
    result = run(play, check=True, ttl=60)
    assert result["changed"]
    assert (result["diff"]["before"]["ttl"], result["diff"]["after"]["ttl"]) == (300, 60)


def test_deletes_only_this_name_and_type(cloud: Cloud, play: Play) -> None:
    reads(cloud, RETURNED)
    result = run(play, check=True, state="absent", ttl=None, rrdatas=None)
    assert result["changed"]
    reads(cloud, RETURNED)
    cloud.expect("DELETE", "dns", ONE)
    result = run(play, state="absent", ttl=None, rrdatas=None)
    assert result["changed"]
    assert result["resource"] is None
    assert (result["diff"]["before"], result["diff"]["after"]) == (SET, {})
    reads(cloud, None)
    assert not run(play, state="absent")["changed"]


def test_deletes_only_the_given_data(cloud: Cloud, play: Play) -> None:
    reads(cloud, RETURNED)
    cloud.expect("DELETE", "dns", ONE)
    result = run(play, state="absent", ttl=None, rrdatas=["192.0.2.2", "192.0.2.1"])
    assert (result["changed"], result["kept"]) == (True, [])
    policy = {"name": SET["name"], "type": "A", "ttl": 300, "routingPolicy": {"wrr": {"items": []}}}
    for found, kept in ((RETURNED, SET["rrdatas"]), (policy, ["a routing policy"])):
        reads(cloud, found)
        result = run(play, state="absent", ttl=None, rrdatas=["192.0.2.1"])
        assert (result["changed"], result["kept"], result["resource"]) == (False, kept, None)


def test_needs_data_and_ttl_to_be_present(cloud: Cloud, play: Play) -> None:
    message = run(play, fails=True, ttl=None, rrdatas=None)["msg"]
    assert "ttl" in message
    assert "rrdatas" in message


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("name", ["mlflow.example.org", "mlflow.notexample.com"])
def test_refuses_a_name_outside_the_zone(cloud: Cloud, play: Play, name: str, state: str) -> None:
    cloud.get("dns", ZONE_PATH, ZONE)
    message = run(play, fails=True, name=name, state=state)["msg"]
    assert f"record set {name}. of type A in managed zone example-com is outside the zone" in message
    assert "(dnsName example.com.)" in message


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("name", "mlflow..example.com", "it is not a full DNS name"),
        ("type", "a", "a type of DNS records has capital letters"),
        ("ttl", -1, "it must be a whole number from 0 to 2147483647"),
        ("rrdatas", [], "it must have 1 item or more"),
        ("rrdatas", ["192.0.2.1", " "], "' ': it is empty"),
        ("zone", "example.com", "it must begin with a lower-case letter"),
    ],
)
def test_refuses_a_wrong_option_before_any_request(
    cloud: Cloud, play: Play, option: str, value: Any, said: str
) -> None:
    message = run(play, fails=True, **{option: value})["msg"]
    assert option in message
    assert said in message


def test_names_are_part_of_the_path(cloud: Cloud, play: Play) -> None:
    reads(cloud, None, f"{ALL}/*.example.com./A")
    assert not run(play, name="*.example.com", state="absent")["changed"]
    reads(cloud, None, f"{ALL}/0%2F25.example.com./A")
    assert not run(play, name="0/25.example.com", state="absent")["changed"]


def test_refuses_to_replace_a_routing_policy(cloud: Cloud, play: Play) -> None:
    policy = {"name": SET["name"], "type": "A", "ttl": 300, "routingPolicy": {"wrr": {"items": []}}}
    reads(cloud, policy)
    assert f"{TITLE} has a routing policy" in run(play, fails=True, check=True)["msg"]
    reads(cloud, policy)
    cloud.expect("DELETE", "dns", ONE)
    assert run(play, state="absent", rrdatas=None)["changed"]


@pytest.mark.parametrize("reason", ["cnameResourceRecordSetConflict", "recordTypeDisallowedAtZoneApex"])
def test_a_conflict_with_a_cname(cloud: Cloud, play: Play, reason: str) -> None:
    reads(cloud, None)
    said = "A DNS name may have either one CNAME resource record set or resource record sets of other types."
    cloud.fails("POST", "dns", ALL, 400, reason, said, body=SET)
    result = run(play, fails=True)
    assert result["msg"].startswith(f"Cannot create {TITLE} in project my-project: {said}")
    assert "Delete the other record sets of this name (state: absent), or choose another name." in result["msg"]


def test_the_zones_own_sets_are_kept(cloud: Cloud, play: Play) -> None:
    path = f"{ALL}/example.com./NS"
    reads(cloud, {"name": "example.com.", "type": "NS", "ttl": 21600, "rrdatas": ["a.", "b."]}, path)
    cloud.fails("DELETE", "dns", path, 400, "invalidZoneApex", "exactly one resource record set of type 'NS'")
    message = run(play, fails=True, name="example.com", type="NS", state="absent", rrdatas=None)["msg"]
    assert "exactly one resource record set of type 'NS'" in message
    assert "Google deletes them only with the zone" in message


def test_plans_also_without_the_zone(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ZONE_PATH, None)
    assert run(play, check=True)["changed"]
    cloud.get("dns", ZONE_PATH, None)
    assert not run(play, state="absent")["changed"]


def test_fails_without_the_zone(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ZONE_PATH, None)
    said = "The 'parameters.managedZone' resource named 'example-com' does not exist."
    cloud.fails("POST", "dns", ALL, 404, "notFound", said, body=SET)
    result = run(play, fails=True)
    assert f"Cannot create {TITLE} in project my-project: {said}" in result["msg"]
    assert result["code"] == 404


def test_a_zone_of_another_project(cloud: Cloud, play: Play) -> None:
    zone = "projects/dns-project/managedZones/example-com"
    cloud.get("dns", zone, ZONE)
    cloud.get("dns", f"{zone}/rrsets/mlflow.example.com./A", RETURNED | {"ttl": 60})
    cloud.fails("PATCH", "dns", f"{zone}/rrsets/mlflow.example.com./A", 403, "forbidden", "Forbidden", body=SET)
    result = run(play, fails=True, project="dns-project")
    assert f"Cannot update {TITLE} in project dns-project: Forbidden" in result["msg"]
    assert "gcloud projects add-iam-policy-binding dns-project" in result["msg"]


def test_a_forbidden_zone_is_not_an_absent_zone(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "dns", ZONE_PATH, 403, "forbidden", "Forbidden")
    assert f"Cannot read {TITLE} in project my-project: Forbidden" in run(play, fails=True, state="absent")["msg"]


def test_a_set_that_another_client_created_first_is_compared(cloud: Cloud, play: Play) -> None:
    reads(cloud, None)
    said = "The resource 'entity.rrset' named 'mlflow.example.com. (A)' already exists"
    cloud.fails("POST", "dns", ALL, 409, "alreadyExists", said, body=SET)
    cloud.get("dns", ONE, RETURNED | {"ttl": 60})
    cloud.expect("PATCH", "dns", ONE, RETURNED, body=SET)
    cloud.get("dns", ONE, RETURNED)
    assert run(play)["resource"] == RETURNED


@pytest.mark.parametrize("code", [409, 412])
def test_updates_again_after_a_concurrent_change(cloud: Cloud, play: Play, code: int) -> None:
    reads(cloud, RETURNED | {"ttl": 60})
    cloud.fails("PATCH", "dns", ONE, code, "conditionNotMet", body=SET)
    cloud.get("dns", ONE, RETURNED)
    assert not run(play)["changed"]


def test_repeats_requests_after_temporary_errors(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "dns", ZONE_PATH, 503, "backendError")
    reads(cloud, None)
    cloud.fails("POST", "dns", ALL, 429, "rateLimitExceeded", body=SET)
    cloud.fails("POST", "dns", ALL, 503, "backendError", body=SET)
    cloud.expect("POST", "dns", ALL, RETURNED, body=SET)
    cloud.get("dns", ONE, RETURNED)
    assert run(play)["changed"]
