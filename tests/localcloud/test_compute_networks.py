# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Networks, subnetworks, firewall rules and addresses against the contract, with an engine in memory."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from localcloud.engine.base import Rule
from localcloud.engine.nft_network import EXTERNAL_RANGE
from tests.localcloud.compute_client import LINK, REGION, ROOT, ZONE, Compute
from tests.localcloud.harness import Local


@pytest.fixture
def compute(local: Local) -> Compute:
    return Compute(local)


def reason(answer: dict[str, dict[str, list[dict[str, str]]]]) -> str:
    return answer["error"]["errors"][0]["reason"]


def refused(operation: Any) -> None:
    """Assert that Google's late refusal of a network's deletion is in the operation: Compute's code, HTTP's message."""
    assert [e["code"] for e in operation["error"]["errors"]] == ["RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"]
    assert "is already being used by" in operation["error"]["errors"][0]["message"]
    assert (operation["httpErrorStatusCode"], operation["httpErrorMessage"]) == (400, "BAD REQUEST")


def test_network_life(compute: Compute) -> None:
    network = compute.network()
    assert network["kind"] == "compute#network"
    assert network["selfLink"] == LINK + "global/networks/net"
    assert network["id"].isdigit()
    assert network["autoCreateSubnetworks"] is False
    assert network["routingConfig"]["routingMode"] == "REGIONAL"
    again = compute("POST", "global/networks", {"name": "net", "autoCreateSubnetworks": False}, 409)
    assert reason(again) == "alreadyExists"
    assert [n["name"] for n in compute("GET", "global/networks")["items"]] == ["net"]
    compute("PATCH", "global/networks/net", {"routingConfig": {"routingMode": "GLOBAL"}})
    assert compute("GET", "global/networks/net")["routingConfig"]["routingMode"] == "GLOBAL"
    compute("PATCH", "global/networks/net", {"autoCreateSubnetworks": True}, 400)
    compute.removed("global/networks/net")


@pytest.mark.parametrize("body", [{"autoCreateSubnetworks": False}, {"name": "Net"}, {"name": "legacy"}])
def test_network_refused(compute: Compute, body: dict[str, object]) -> None:
    compute("POST", "global/networks", body, 400)
    assert "items" not in compute("GET", "global/networks")


def test_auto_mode_network_brings_its_subnetworks_and_takes_them_along(compute: Compute) -> None:
    auto = compute.made("global/networks", {"name": "auto", "autoCreateSubnetworks": True})
    own = compute("GET", f"{REGION}/subnetworks/auto")
    assert own["ipCidrRange"] == "10.132.0.0/20"
    assert own["selfLink"] in auto["subnetworks"]
    compute("DELETE", f"{REGION}/subnetworks/auto", code=400)
    body = {"name": "more", "network": "global/networks/auto", "ipCidrRange": "10.200.0.0/20"}
    compute("POST", f"{REGION}/subnetworks", body, 400)
    compute.removed("global/networks/auto")
    assert "items" not in compute("GET", f"{REGION}/subnetworks")


def test_network_in_use_is_not_deleted(compute: Compute) -> None:
    compute.network()
    compute.subnetwork()
    compute.made(
        "global/firewalls", {"name": "fw", "network": "global/networks/net", "allowed": [{"IPProtocol": "tcp"}]}
    )
    for path in (f"{REGION}/subnetworks/sub", "global/firewalls/fw"):
        refused(compute("DELETE", "global/networks/net"))
        compute.removed(path)
    compute.removed("global/networks/net")


def test_request_id_makes_an_insert_idempotent(compute: Compute) -> None:
    path = "global/networks?requestId=2f2bb4a4-3c2f-4a77-8ee0-5d8a3ad2e5a5"
    body = {"name": "net", "autoCreateSubnetworks": False}
    first, second = (compute("POST", path, body, wait=False) for _ in range(2))
    assert first["name"] == second["name"]
    compute("POST", "global/networks?requestId=00000000-0000-0000-0000-000000000000", body, 400)


def test_subnetwork_life(compute: Compute) -> None:
    compute.network()
    made = compute.subnetwork()
    assert made["gatewayAddress"] == "10.128.0.1"
    assert made["region"] == LINK + REGION
    assert made["network"] == LINK + "global/networks/net"
    path = f"{REGION}/subnetworks/sub"
    compute("POST", f"{path}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": True})
    changed = compute("GET", path)
    assert changed["privateIpGoogleAccess"] is True
    stale = {"privateIpGoogleAccess": False, "fingerprint": made["fingerprint"]}
    assert reason(compute("PATCH", path, stale, 412)) == "conditionNotMet"
    compute("PATCH", path, {"privateIpGoogleAccess": False, "fingerprint": changed["fingerprint"]})
    assert compute("GET", path)["privateIpGoogleAccess"] is False
    compute("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "10.128.0.0/24"}, 400)
    compute("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "10.128.0.0/19"})
    assert compute("GET", path)["ipCidrRange"] == "10.128.0.0/19"
    every = compute("GET", "aggregated/subnetworks")["items"]
    assert every[REGION]["subnetworks"][0]["name"] == "sub"
    assert every["regions/us-east1"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    compute.removed(path)


@pytest.mark.parametrize(
    "cidr", ["10.128.8.0/24", "10.128.0.0/16", "10.0.0.1/24", "10.0.0.0/30", "127.0.0.0/16", "nine"]
)
def test_subnetwork_range_refused(compute: Compute, cidr: str) -> None:
    compute.network()
    compute.subnetwork()
    body = {"name": "other", "network": "global/networks/net", "ipCidrRange": cidr}
    assert reason(compute("POST", f"{REGION}/subnetworks", body, 400)) == "invalid"


def test_the_same_range_in_two_networks_is_fine_until_both_have_machines(compute: Compute) -> None:
    for name in ("net", "two"):
        compute.network(name)
    compute.subnetwork()
    compute.subnetwork("sub-two", network="two")
    compute.instance()
    other = compute.instance_body("vm-two", networkInterfaces=[{"subnetwork": f"{REGION}/subnetworks/sub-two"}])
    compute("POST", f"{ZONE}/instances", other, 501)
    assert [subnet.network for subnet in compute.state.subnetworks] == ["mlflow-local/net"]


def test_firewall_defaults_and_changes(compute: Compute) -> None:
    compute.network()
    rule = compute.made(
        "global/firewalls",
        {"name": "fw", "network": LINK + "global/networks/net", "allowed": [{"IPProtocol": "TCP", "ports": ["443"]}]},
    )
    assert rule["direction"] == "INGRESS"
    assert rule["priority"] == 1000
    assert rule["sourceRanges"] == ["0.0.0.0/0"]
    assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["443"]}]
    compute("PATCH", "global/firewalls/fw", {"sourceRanges": ["198.51.100.1/32"]})
    assert compute("GET", "global/firewalls/fw")["sourceRanges"] == ["198.51.100.1/32"]
    compute("PATCH", "global/firewalls/fw", {"denied": [{"IPProtocol": "all"}], "priority": 5})
    changed = compute("GET", "global/firewalls/fw")
    assert "allowed" not in changed
    assert (changed["id"], changed["priority"]) == (rule["id"], 5)
    compute("PATCH", "global/firewalls/fw", {"direction": "EGRESS"}, 400)
    compute.removed("global/firewalls/fw")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"allowed": [{"IPProtocol": "tcp"}], "denied": [{"IPProtocol": "udp"}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["0-99999"]}]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["1"]}]},
        {"allowed": [{"IPProtocol": "nonsense"}]},
        {"allowed": [{"IPProtocol": "tcp"}], "sourceRanges": ["10.0.0.1/8"]},
        {"allowed": [{"IPProtocol": "tcp"}], "direction": "EGRESS", "sourceRanges": ["10.0.0.0/8"]},
        {"allowed": [{"IPProtocol": "tcp"}], "priority": 70000},
        {"allowed": [{"IPProtocol": "tcp"}], "targetTags": ["Web"]},
    ],
)
def test_firewall_refused(compute: Compute, fields: dict[str, object]) -> None:
    compute.network()
    compute("POST", "global/firewalls", {"name": "fw", "network": "global/networks/net"} | fields, 400)


def test_firewall_on_a_missing_network(compute: Compute) -> None:
    body = {"name": "fw", "network": "global/networks/none", "allowed": [{"IPProtocol": "tcp"}]}
    assert reason(compute("POST", "global/firewalls", body, 404)) == "notFound"


def test_tags_become_addresses(compute: Compute) -> None:
    compute.network()
    compute.subnetwork()
    web = compute.instance("web", tags={"items": ["web"]})
    lamp = compute.instance("lamp", tags={"items": ["admin"]})
    address = {name: vm["networkInterfaces"][0]["networkIP"] for name, vm in (("web", web), ("lamp", lamp))}
    common = {"network": "global/networks/net", "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]}
    compute.made("global/firewalls", common | {"name": "a", "targetTags": ["web"], "sourceTags": ["admin"]})
    compute.made("global/firewalls", common | {"name": "b", "sourceTags": ["nobody"]})
    compute.made("global/firewalls", common | {"name": "c", "targetTags": ["nobody"]})
    compute.made("global/firewalls", common | {"name": "d", "disabled": True})
    wanted = Rule(
        network="mlflow-local/net",
        direction="INGRESS",
        priority=1000,
        allow=True,
        source_ranges=(f"{address['lamp']}/32",),
        target_ips=(address["web"],),
        protocols=(("tcp", ("22",)),),
    )
    # A rule whose tags no VM has must match no VM, and certainly not every VM.
    assert compute.state.firewall == (wanted,)
    compute("POST", f"{ZONE}/instances/lamp/setTags", {"items": ["web"], "fingerprint": lamp["tags"]["fingerprint"]})
    assert compute.state.firewall == ()


def test_address_life(compute: Compute) -> None:
    made = compute.made(f"{REGION}/addresses", {"name": "ip"})
    assert made["addressType"] == "EXTERNAL"
    assert made["status"] == "RESERVED"
    assert ipaddress.ip_address(made["address"]) in ipaddress.ip_network(EXTERNAL_RANGE)
    other = compute.made(f"{REGION}/addresses", {"name": "ip-two"})
    assert other["address"] != made["address"]
    compute("POST", f"{REGION}/addresses", {"name": "chosen", "address": "198.51.100.77"}, 400)
    labels = {"labels": {"app": "mlflow"}, "labelFingerprint": made["labelFingerprint"]}
    compute("POST", f"{REGION}/addresses/ip/setLabels", labels)
    compute("POST", f"{REGION}/addresses/ip/setLabels", labels, 412)
    assert compute("GET", f"{REGION}/addresses/ip")["labels"] == {"app": "mlflow"}
    assert len(compute("GET", "aggregated/addresses")["items"][REGION]["addresses"]) == 2
    compute.removed(f"{REGION}/addresses/ip")


def test_address_in_use(compute: Compute) -> None:
    compute.network()
    compute.subnetwork()
    static = compute.made(f"{REGION}/addresses", {"name": "ip"})["address"]
    card = {"subnetwork": f"{REGION}/subnetworks/sub", "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "natIP": static}]}
    vm = compute.instance(networkInterfaces=[card])
    assert vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == static
    used = compute("GET", f"{REGION}/addresses/ip")
    assert (used["status"], used["users"]) == ("IN_USE", [vm["selfLink"]])
    assert reason(compute("DELETE", f"{REGION}/addresses/ip", code=400)) == "resourceInUseByAnotherResource"
    second = compute("POST", f"{ZONE}/instances", compute.instance_body("two", networkInterfaces=[card]))
    assert second["error"]["errors"][0]["code"] == "IP_IN_USE_BY_ANOTHER_RESOURCE"
    compute("GET", f"{ZONE}/instances/two", code=404)
    assert [(a.external, a.internal) for a in compute.state.addresses] == [(static, "10.128.0.2")]
    compute("POST", f"{ZONE}/instances/vm/stop")
    assert compute("GET", f"{REGION}/addresses/ip")["status"] == "IN_USE"
    assert compute.state.addresses == ()
    compute.removed(f"{ZONE}/instances/vm")
    compute.removed(f"{REGION}/addresses/ip")


def test_allocated_range_meets_nobody(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "localcloud.engine.routes.host_routes", lambda: [("10.0.0.0/16", "eth0"), ("172.17.0.0/16", "d0")]
    )
    monkeypatch.setattr("localcloud.engine.routes.host_resolvers", lambda: ["10.1.0.53"])
    for name in ("net", "two"):
        compute.network(name)
    compute.subnetwork("elsewhere", "10.1.16.0/20", "two")
    body = {
        "name": "range",
        "addressType": "INTERNAL",
        "purpose": "VPC_PEERING",
        "prefixLength": 20,
        "network": "global/networks/net",
    }
    made = compute.made("global/addresses", body)
    assert (made["address"], made["prefixLength"]) == ("10.1.32.0", 20)
    second = compute.made("global/addresses", body | {"name": "second"})
    assert second["address"] == "10.1.48.0"
    compute("POST", "global/addresses", body | {"name": "third", "address": "10.1.40.0", "prefixLength": 24}, 400)
    given = compute.made("global/addresses", body | {"name": "given", "address": "10.9.0.0", "prefixLength": 24})
    assert given["address"] == "10.9.0.0"
    clash = {"name": "clash", "network": "global/networks/net", "ipCidrRange": "10.9.0.0/25"}
    compute("POST", f"{REGION}/subnetworks", clash, 400)
    refused(compute("DELETE", "global/networks/net"))
    compute.removed("global/addresses/range")


def test_places_and_images(compute: Compute) -> None:
    assert compute("GET", ZONE)["region"] == LINK + REGION
    compute("GET", "zones/mars-north1-a/instances", code=400)
    call = compute.session.call
    image = call("GET", "/compute/v1/projects/debian-cloud/global/images/family/debian-13")
    assert (image["family"], image["status"]) == ("debian-13", "READY")
    call("GET", "/compute/v1/projects/debian-cloud/global/images/family/debian-1", 404)
    compute("GET", "global/images/family/debian-13", code=404)


def test_operations_are_found_in_their_scope_only(compute: Compute) -> None:
    operation = compute("POST", "global/networks", {"name": "net", "autoCreateSubnetworks": False})
    compute("GET", f"global/operations/{operation['name']}", wait=False)
    compute("GET", f"{REGION}/operations/{operation['name']}", code=404)
    listed = compute.session.call("GET", ROOT + "aggregated/operations")["items"]
    assert [o["operationType"] for o in listed["global"]["operations"]] == ["insert"]


def test_permissions_are_asked_for(local: Local) -> None:
    viewer = Compute(local, local.session_as(local.account("viewer", "roles/compute.viewer")))
    assert "items" not in viewer("GET", "global/networks")
    answer = viewer("POST", "global/networks", {"name": "net", "autoCreateSubnetworks": False}, 403)
    assert reason(answer) == "forbidden"


def test_effective_firewalls_are_the_rules_with_the_vm_as_target(compute: Compute) -> None:
    def rule(name: str, **fields: Any) -> None:
        allowed = [{"IPProtocol": "tcp", "ports": ["22"]}]
        body = {"name": name, "network": f"{LINK}global/networks/net", "allowed": allowed} | fields
        compute.made("global/firewalls", body)

    vm = f"{ZONE}/instances/vm"
    compute.network()
    compute.subnetwork()
    compute.made(f"{ZONE}/instances", compute.instance_body(tags={"items": ["web"]}))
    compute.network("other")
    rule("for-all", sourceRanges=["198.51.100.1/32"])
    rule("for-web", targetTags=["web", "more"], priority=900, sourceTags=["client"])
    rule("disabled", disabled=True, priority=1001)
    rule("for-others", targetTags=["database"])
    rule("elsewhere", network=f"{LINK}global/networks/other")
    rule("outgoing", direction="EGRESS", destinationRanges=["0.0.0.0/0"], priority=1)
    found = compute("GET", f"{vm}/getEffectiveFirewalls?networkInterface=nic0")["firewalls"]
    assert [each["name"] for each in found] == ["outgoing", "for-web", "for-all", "disabled"]
    assert found[2] == compute("GET", "global/firewalls/for-all")
    answer = compute("GET", f"{vm}/getEffectiveFirewalls?networkInterface=nic1", code=400)
    assert "The instance has no interface nic1" in answer["error"]["message"]
    compute("GET", f"{ZONE}/instances/none/getEffectiveFirewalls?networkInterface=nic0", code=404)
    viewer = compute.local.session_as(compute.local.account("viewer", "roles/compute.viewer"))
    assert Compute(compute.local, viewer)("GET", f"{vm}/getEffectiveFirewalls?networkInterface=nic0")["firewalls"]
