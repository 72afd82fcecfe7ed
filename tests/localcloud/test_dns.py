# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud DNS against the contract: managed zones, record sets and changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.harness import Local

Call = Callable[..., Any]
ZONES = "/dns/v1/projects/mlflow-local/managedZones"
ZONE = f"{ZONES}/example"
RECORDS = f"{ZONE}/rrsets"
CHANGES = f"{ZONE}/changes"
BODY = {"name": "example", "dnsName": "example.test.", "description": ""}
WWW = {"name": "www.example.test.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]}
STORED = {"kind": "dns#resourceRecordSet"} | WWW


@pytest.fixture(autouse=True)
def _enabled(local: Local) -> None:
    local.enable("dns")


@pytest.fixture
def zone(call: Call) -> Any:
    """Create a zone and return it."""
    return call("POST", ZONES, json=BODY)


def refused(answer: Any) -> tuple[str, str]:
    """Return (reason, message) of an error."""
    return answer["error"]["errors"][0]["reason"], answer["error"]["message"]


def record(name: str, kind: str, *data: str, ttl: int = 300) -> dict[str, Any]:
    return {"name": name, "type": kind, "ttl": ttl, "rrdatas": list(data)}


# -- managed zones


def test_a_zone_from_creation_to_deletion(call: Call, zone: Any) -> None:
    assert zone.pop("id").isdigit()
    assert zone.pop("creationTime").endswith("Z")
    servers = [f"ns-cloud-a{number}.googledomains.com." for number in range(1, 5)]
    assert zone == BODY | {
        "kind": "dns#managedZone",
        "nameServers": servers,
        "visibility": "public",
        "cloudLoggingConfig": {"kind": "dns#managedZoneCloudLoggingConfig"},
    }
    made = call("GET", ZONE)
    assert call("GET", f"{ZONES}/{made['id']}") == made
    assert call("GET", ZONES) == {"kind": "dns#managedZonesListResponse", "managedZones": [made]}
    soa = "ns-cloud-a1.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"
    assert [(each["type"], each["ttl"], each["rrdatas"]) for each in call("GET", RECORDS)["rrsets"]] == [
        ("NS", 21600, servers),
        ("SOA", 21600, [soa]),
    ]
    assert refused(call("POST", ZONES, 409, json=BODY)) == (
        "alreadyExists",
        "The resource 'entity.managedZone' named 'example' already exists",
    )
    call("POST", RECORDS, json=WWW)
    assert refused(call("DELETE", ZONE, 400)) == (
        "containerNotEmpty",
        "The resource named 'example' cannot be deleted because it contains one or more 'resource records'.",
    )
    call("DELETE", f"{RECORDS}/www.example.test./A")
    call("DELETE", ZONE, 204)
    error = call("GET", ZONE, 404)["error"]
    assert refused({"error": error}) == (
        "notFound",
        "The 'parameters.managedZone' resource named 'example' does not exist.",
    )
    assert "status" not in error
    call("POST", ZONES, json=BODY)
    assert [change["id"] for change in call("GET", CHANGES)["changes"]] == ["0"]


REFUSED_ZONES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": None}, "required", "name"),
    ({"dnsName": None}, "required", "dnsName"),
    ({"description": None}, "required", "description"),
    ({"name": "1a"}, "invalid", "name"),
    ({"name": "a_b"}, "invalid", "name"),
    ({"dnsName": "example.test"}, "invalid", "dnsName"),
    ({"dnsName": "a..test."}, "invalid", "dnsName"),
    ({"dnsName": "*.example.test."}, "invalid", "dnsName"),
    ({"dnsName": "-a.test."}, "invalid", "dnsName"),
    ({"nameServerSet": "ns-cloud-d"}, "invalid", "nameServerSet"),
    ({"labels": {"App": "x"}}, "invalid", "labels"),
    ({"description": "x" * 1025}, "invalid", "description"),
]
NOT_EMULATED: list[dict[str, Any]] = [
    {"visibility": "private", "privateVisibilityConfig": {"networks": []}},
    {"forwardingConfig": {"targetNameServers": [{"ipv4Address": "192.0.2.1"}]}},
    {"dnssecConfig": {"state": "on"}},
]


def test_refused_zones(call: Call) -> None:
    for fields, reason, field in REFUSED_ZONES:
        found, message = refused(call("POST", ZONES, 400, json=BODY | fields))
        assert (found, f"'entity.managedZone.{field}'" in message) == (reason, True), fields
    for fields in NOT_EMULATED:
        call("POST", ZONES, 501, json=BODY | fields)
    assert "managedZones" not in call("GET", ZONES)


def test_each_name_server_has_one_zone_of_a_name(call: Call, zone: Any) -> None:
    for name in ("b", "c", "d", "e"):
        made = call("POST", ZONES, json=BODY | {"name": name})
        assert made["nameServers"][0] == f"ns-cloud-{name}1.googledomains.com."
    reason, message = refused(call("POST", ZONES, 400, json=BODY | {"name": "f"}))
    assert (reason, "'example.test.'" in message) == ("managedZoneDnsNameNotAvailable", True)
    call("POST", ZONES, json=BODY | {"name": "g", "dnsName": "sub.Example.test."})
    assert call("GET", f"{ZONES}?dnsName=sub.example.test.")["managedZones"][0]["name"] == "g"
    call("GET", f"{ZONES}?dnsName=sub.example.test", 400)
    top = refused(call("POST", ZONES, 400, json=BODY | {"name": "top", "dnsName": "test."}))
    assert top[0] == "managedZoneDnsNameNotAvailable"
    first = call("GET", f"{ZONES}?maxResults=4")
    rest = call("GET", f"{ZONES}?maxResults=4&pageToken={first['nextPageToken']}")
    assert [each["name"] for each in first["managedZones"] + rest["managedZones"]] == [*"bcde", "example", "g"]
    assert "nextPageToken" not in rest
    assert refused(call("GET", f"{ZONES}?maxResults=0", 400))[1] == "Invalid value for 'parameters.maxResults': '0'"


def test_a_changed_zone(call: Call, zone: Any) -> None:
    operation = call("PATCH", ZONE, json={"description": "new", "labels": {"app": "x"}})
    assert (operation["kind"], operation["type"], operation["status"]) == ("dns#operation", "update", "done")
    assert operation["user"] == "owner@mlflow-local.iam.gserviceaccount.com"
    changed = zone | {"description": "new", "labels": {"app": "x"}}
    assert operation["zoneContext"] == {"oldValue": zone, "newValue": changed}
    assert call("GET", ZONE) == changed
    assert call("GET", f"{ZONE}/operations/{operation['id']}") == operation
    assert refused(call("GET", f"{ZONE}/operations/other", 404))[0] == "notFound"

    replaced = call("PUT", ZONE, json={"labels": {"app": "y"}})["zoneContext"]["newValue"]
    assert replaced == zone | {"labels": {"app": "y"}}
    call("PUT", ZONE, json=replaced)
    assert call("PATCH", f"{ZONE}?clientOperationId=mine", json={"labels": {"app": None}})["id"] == "mine"
    assert call("GET", ZONE)["labels"] == {}
    for field, value in (("dnsName", "other.test."), ("name", "other")):
        message = refused(call("PATCH", ZONE, 400, json={field: value}))[1]
        assert message == f"The field 'entity.managedZone.{field}' cannot be modified."
    call("PATCH", ZONE, 501, json={"visibility": "private"})
    call("PATCH", f"{ZONES}/other", 404, json={})


# -- record sets


def test_a_record_set_from_creation_to_deletion(call: Call, zone: Any) -> None:
    assert call("POST", RECORDS, json=WWW | {"name": "WWW.example.test."}) == STORED
    path = f"{RECORDS}/www.example.test./A"
    assert call("GET", path) == STORED
    assert refused(call("POST", RECORDS, 409, json=WWW)) == (
        "alreadyExists",
        "The resource 'entity.rrset' named 'www.example.test. (A)' already exists",
    )
    changed = STORED | {"rrdatas": ["192.0.2.2", "192.0.2.3"]}
    assert call("PATCH", path, json={"rrdatas": ["192.0.2.2", "192.0.2.3"]}) == changed
    assert call("PATCH", path, json=WWW | {"ttl": 60, "rrdatas": changed["rrdatas"]}) == changed | {"ttl": 60}
    assert refused(call("PATCH", path, 400, json={"name": "x.example.test."}))[0] == "invalid"
    changes = call("GET", CHANGES)["changes"]
    assert [(len(each.get("deletions", [])), len(each["additions"])) for each in changes] == [
        (0, 2),
        (0, 1),
        (1, 1),
        (1, 1),
    ]
    assert call("DELETE", path) == {}
    for verb in ("GET", "DELETE", "PATCH"):
        assert refused(call(verb, path, 404, **({"json": {}} if verb == "PATCH" else {}))) == (
            "notFound",
            "The 'parameters.name' resource named 'www.example.test. (A)' does not exist.",
        )


def test_refused_record_sets_are_not_stored(call: Call, zone: Any) -> None:
    message = refused(call("POST", RECORDS, 400, json=WWW | {"rrdatas": ["x"]}))[1]
    assert message == "Invalid value for 'entity.rrset.rrdata[0]': 'x'"
    long = '"{}"'.format("a" * 256)
    message = refused(call("POST", RECORDS, 400, json=WWW | {"type": "TXT", "rrdatas": [long]}))[1]
    assert message == f"Invalid value for 'entity.rrset.rrdata[0]': '{long}'"
    call("POST", RECORDS, 501, json=WWW | {"type": "SRV", "rrdatas": ["0 0 443 a.test."]})
    assert len(call("GET", RECORDS)["rrsets"]) == 2
    call("GET", f"{RECORDS}?filter=x", 501)


def test_a_name_has_a_cname_record_or_others(call: Call, zone: Any) -> None:
    call("POST", RECORDS, json=WWW)
    reason, message = refused(call("POST", RECORDS, 400, json=record(WWW["name"], "CNAME", "a.test.")))
    assert reason == "cnameResourceRecordSetConflict"
    assert "'www.example.test.' has a resource record set of the type 'A'" in message
    call("POST", RECORDS, json=record("alias.example.test.", "CNAME", "a.test."))
    assert "type 'CNAME'" in refused(call("POST", RECORDS, 400, json=record("alias.example.test.", "TXT", "x")))[1]
    apex = refused(call("POST", RECORDS, 400, json=record("example.test.", "CNAME", "a.test.")))
    assert apex[0] == "cnameResourceRecordSetConflict"
    change = {"deletions": [WWW], "additions": [record(WWW["name"], "CNAME", "a.test.")]}
    call("POST", CHANGES, json=change)


def test_lists_of_record_sets(call: Call, zone: Any) -> None:
    for each in (WWW, record("a.www.example.test.", "TXT", "x"), record(WWW["name"], "AAAA", "2001:db8::1")):
        call("POST", RECORDS, json=each)

    def listed(query: str = "") -> list[tuple[str, str]]:
        return [(each["name"], each["type"]) for each in call("GET", RECORDS + query).get("rrsets", [])]

    www, apex = "www.example.test.", "example.test."
    assert listed() == [(apex, "NS"), (apex, "SOA"), (www, "A"), (www, "AAAA"), (f"a.{www}", "TXT")]
    assert listed(f"?name={www}") == [(www, "A"), (www, "AAAA")]
    assert listed(f"?name={www.upper()}&type=AAAA") == [(www, "AAAA")]
    assert listed("?name=other.example.test.") == []
    page = call("GET", f"{RECORDS}?maxResults=3")
    assert (len(page["rrsets"]), listed(f"?maxResults=3&pageToken={page['nextPageToken']}")[-1]) == (
        3,
        (f"a.{www}", "TXT"),
    )
    for query in ("?type=A", "?name=www.example.test", "?name=www.example.test.&type=GROUP"):
        assert refused(call("GET", RECORDS + query, 400))[0] == "invalid"


# -- changes


def test_a_change_replaces_records_together(call: Call, zone: Any) -> None:
    added = [WWW, record("mail.example.test.", "A", "192.0.2.9", "192.0.2.8")]
    change = call("POST", CHANGES, json={"additions": added})
    assert change.pop("startTime").endswith("Z")
    expected = [{"kind": "dns#resourceRecordSet"} | each for each in added]
    assert change == {"kind": "dns#change", "id": "1", "status": "done", "additions": expected}
    new = WWW | {"rrdatas": ["192.0.2.2"]}
    # The order of records has no meaning.
    deleted = [WWW, added[1] | {"rrdatas": ["192.0.2.8", "192.0.2.9"]}]
    assert call("POST", CHANGES, json={"deletions": deleted, "additions": [new]})["id"] == "2"
    assert [each["rrdatas"] for each in call("GET", RECORDS)["rrsets"]][2:] == [["192.0.2.2"]]
    assert call("GET", f"{CHANGES}/1")["additions"] == expected
    assert [each["type"] for each in call("GET", f"{CHANGES}/0")["additions"]] == ["NS", "SOA"]
    assert refused(call("GET", f"{CHANGES}/3", 404))[0] == "notFound"
    first = call("GET", f"{CHANGES}?sortBy=changeSequence&sortOrder=descending&maxResults=2")
    assert [each["id"] for each in first["changes"]] == ["2", "1"]
    assert refused(call("GET", f"{CHANGES}?sortOrder=up", 400))[0] == "invalid"


REFUSED_CHANGES: list[tuple[dict[str, Any], int, str, str]] = [
    ({}, 400, "required", "The 'entity.change' parameter is required but was missing."),
    (
        {"deletions": [WWW | {"name": "x.example.test."}]},
        404,
        "notFound",
        "The 'entity.change.deletions[x.example.test.][A]' resource named 'x.example.test. (A)' does not exist.",
    ),
    (
        {"deletions": [WWW | {"ttl": 60}]},
        412,
        "conditionNotMet",
        "Precondition not met for 'entity.change.deletions[www.example.test.][A]'",
    ),
    (
        {"deletions": [WWW | {"rrdatas": ["192.0.2.9"]}]},
        412,
        "conditionNotMet",
        "Precondition not met for 'entity.change.deletions[www.example.test.][A]'",
    ),
    (
        {"additions": [WWW]},
        409,
        "alreadyExists",
        "The resource 'entity.change.additions[www.example.test.][A]' named 'www.example.test. (A)' already exists",
    ),
    (
        {"additions": [WWW | {"rrdatas": ["x"]}]},
        400,
        "invalid",
        "Invalid value for 'entity.change.additions[www.example.test.][A].rrdata[0]': 'x'",
    ),
]


def test_refused_changes_change_nothing(call: Call, zone: Any) -> None:
    call("POST", RECORDS, json=WWW)
    before = call("GET", RECORDS)
    for change, code, reason, message in REFUSED_CHANGES:
        extra = [record("new.example.test.", "A", "192.0.2.7")] if change else []
        body = change | {"additions": extra + change.get("additions", [])}
        assert refused(call("POST", CHANGES, code, json=body)) == (reason, message)
        assert call("GET", RECORDS) == before
    assert len(call("GET", CHANGES)["changes"]) == 2


def test_the_apex_keeps_its_records(call: Call, zone: Any) -> None:
    for kind in ("NS", "SOA"):
        (old,) = (each for each in call("GET", RECORDS)["rrsets"] if each["type"] == kind)
        reason, message = refused(call("POST", CHANGES, 400, json={"deletions": [old]}))
        assert (reason, f"exactly one resource record set of type '{kind}' at the apex" in message) == (
            "invalidZoneApex",
            True,
        )
        assert refused(call("DELETE", f"{RECORDS}/example.test./{kind}", 400))[0] == "invalidZoneApex"
        call("POST", CHANGES, json={"deletions": [old], "additions": [old | {"ttl": 60}]})
        assert call("GET", f"{RECORDS}/example.test./{kind}")["ttl"] == 60


def test_the_serial_is_changed_by_the_client_only(call: Call, zone: Any) -> None:
    """As at Google: gcloud's transactions replace the SOA record."""

    def serial() -> str:
        return str(call("GET", f"{RECORDS}/example.test./SOA")["rrdatas"][0].split()[2])

    call("POST", RECORDS, json=WWW)
    assert serial() == "1"
    old = call("GET", f"{RECORDS}/example.test./SOA")
    new = old | {"rrdatas": [old["rrdatas"][0].replace(" 1 ", " 2 ")]}
    call("POST", CHANGES, json={"deletions": [old], "additions": [new]})
    assert serial() == "2"


def test_a_change_is_pending_as_long_as_at_google(call: Call, zone: Any) -> None:
    call("PUT", "/localcloud/profile", json={"latency": "google", "scale": 0.2})
    change = call("POST", CHANGES, json={"additions": [WWW]})
    assert change["status"] == "pending"
    assert call("PATCH", ZONE, json={"description": "new"})["status"] == "pending"
    deadline = time.monotonic() + 20
    while call("GET", f"{CHANGES}/{change['id']}")["status"] != "done":
        assert time.monotonic() < deadline


# -- callers


def test_permissions(local: Local, call: Call, zone: Any) -> None:
    reader = local.session_as(local.account("reader", "roles/dns.reader"))
    reader.call("GET", ZONE)
    reader.call("GET", RECORDS)
    reader.call("GET", CHANGES)
    assert refused(reader.call("POST", ZONES, 403, json=BODY)) == ("forbidden", "Forbidden")
    reader.call("POST", RECORDS, 403, json=WWW)
    reader.call("POST", CHANGES, 403, json={"additions": [WWW]})
    admin = local.session_as(local.account("admin", "roles/dns.admin"))
    admin.call("POST", RECORDS, json=WWW)
    admin.call("POST", CHANGES, json={"deletions": [WWW]})
    admin.call("DELETE", ZONE, 204)


def test_a_change_needs_the_permissions_of_its_parts(local: Local, call: Call, zone: Any) -> None:
    permissions = ["dns.changes.create", "dns.resourceRecordSets.create"]
    body = {"roleId": "adder", "role": {"title": "adder", "includedPermissions": permissions}}
    role = call("POST", "/iam/v1/projects/mlflow-local/roles", json=body)["name"]
    adder = local.session_as(local.account("adder", role))
    adder.call("POST", CHANGES, json={"additions": [WWW]})
    adder.call("POST", CHANGES, 403, json={"deletions": [WWW]})
    adder.call("POST", CHANGES, 403, json={"deletions": [WWW], "additions": [WWW | {"ttl": 60}]})
    adder.call("POST", RECORDS, json=record("x.example.test.", "TXT", "x"))
    adder.call("DELETE", f"{RECORDS}/x.example.test./TXT", 403)


TXT = record("_acme-challenge.www.example.test.", "TXT", '"proof"', ttl=60)
SET = "resource.type == 'dns.googleapis.com/ResourceRecordSet'"
ONE_SET = f"({SET} && resource.name.endsWith('/rrsets/{TXT['name']}/TXT')) || {SET.replace('==', '!=')}"


def test_a_policy_on_a_zone_with_a_condition_on_one_record_set(local: Local, call: Call, zone: Any) -> None:
    call("POST", ZONES, json=BODY | {"name": "other"})
    member = f"serviceAccount:{local.account('vm')}"
    vm = local.session_as(member.partition(":")[2])
    vm.call("GET", f"{RECORDS}/{TXT['name']}/TXT", 403)
    condition = {"title": "one", "expression": ONE_SET}
    binding = {"role": "roles/dns.admin", "members": [member], "condition": condition}
    policy = {"policy": {"version": 3, "bindings": [binding]}}
    call("POST", f"{ZONE}:setIamPolicy", json=policy)
    shown = call("POST", f"{ZONE}:getIamPolicy", json={"options": {"requestedPolicyVersion": 3}})
    assert shown["bindings"] == [binding]

    vm.call("GET", f"{RECORDS}/{TXT['name']}/TXT", 404)
    change = vm.call("POST", CHANGES, json={"additions": [TXT]})
    vm.call("GET", f"{CHANGES}/{change['id']}")
    vm.call("GET", f"{RECORDS}/{TXT['name']}/TXT")
    vm.call("POST", CHANGES, json={"deletions": [TXT], "additions": [TXT | {"ttl": 30}]})
    call("POST", RECORDS, json=WWW)
    for body in ({"deletions": [WWW]}, {"additions": [record("x.example.test.", "TXT", "x")]}):
        vm.call("POST", CHANGES, 403, json=body)
    vm.call("DELETE", f"{RECORDS}/{WWW['name']}/A", 403)
    vm.call("POST", RECORDS, 403, json=record("x.example.test.", "TXT", "x"))
    vm.call("GET", f"{ZONES}/other", 403)
    vm.call("GET", ZONES, 403)
    vm.call("DELETE", f"{RECORDS}/{TXT['name']}/TXT")

    call("DELETE", f"{RECORDS}/{WWW['name']}/A")
    call("DELETE", ZONE, 204)
    call("POST", ZONES, json=BODY)
    assert "bindings" not in call("POST", f"{ZONE}:getIamPolicy", json={})


def test_the_api_must_be_enabled(local: Local, call: Call) -> None:
    local.cloud.projects.disable("mlflow-local", "dns.googleapis.com")
    error = call("GET", ZONES, 403)["error"]
    assert error["errors"][0]["reason"] == "accessNotConfigured"
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"


def test_both_paths_of_the_api(call: Call, zone: Any) -> None:
    """Clients append the path of the contract to the API's address, or to the address of gcloud's override."""
    assert call("GET", f"/dns{ZONE}") == zone
