# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Details of Compute Engine in recordings of the real service, each as a request and the expected answer.

The recordings are Config Connector's (GoogleCloudPlatform/k8s-config-connector, pkg/test/resourcefixture/testdata); the
named recordings contain answers of Google itself.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.localcloud.compute_client import REGION, Compute
from tests.localcloud.harness import Local

NETWORK = "global/networks/net"

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-0[78]:00"


@pytest.fixture
def compute(local: Local) -> Compute:
    compute = Compute(local)
    compute.network()
    return compute


def peering_range(**fields: Any) -> dict[str, Any]:
    common = {"name": "range", "addressType": "INTERNAL", "purpose": "VPC_PEERING", "prefixLength": 24}
    return common | {"network": NETWORK} | fields


def matching(value: str, pattern: str) -> bool:
    return re.fullmatch(pattern, value) is not None


def test_labels_of_an_address_come_by_set_labels_only(compute: Compute) -> None:
    """Recording restorebackupalloydbcluster."""
    made = compute.made("global/addresses", peering_range(labels={"app": "mlflow"}))
    assert "labels" not in made
    assert isinstance(made["labelFingerprint"], str)
    labels = {"labels": {"app": "mlflow"}, "labelFingerprint": made["labelFingerprint"]}
    compute("POST", "global/addresses/range/setLabels", labels)
    assert compute("GET", "global/addresses/range")["labels"] == {"app": "mlflow"}


def test_an_address_has_a_description_and_a_network_tier(compute: Compute) -> None:
    """Recordings restorebackupalloydbcluster and computeaddresses."""
    external = compute.made(f"{REGION}/addresses", {"name": "ip"})
    for made in (compute.made("global/addresses", peering_range()), external):
        assert (made["description"], made["networkTier"]) == ("", "PREMIUM")


def test_a_network_without_an_mtu_shows_none(compute: Compute) -> None:
    """Recordings computenetworkbasic, computerouternatprivate and others."""
    assert "mtu" not in compute("GET", NETWORK)
    compute("PATCH", NETWORK, {"mtu": 1500})
    assert compute("GET", NETWORK)["mtu"] == 1500
    assert compute.made("global/networks", {"name": "wide", "autoCreateSubnetworks": False, "mtu": 8896})["mtu"] == 8896


def test_patches_are_named_in_full(compute: Compute) -> None:
    """Recordings computenetworkautocreatesubnets and computefirewall."""
    rule = {"name": "fw", "network": NETWORK, "allowed": [{"IPProtocol": "tcp"}]}
    compute.made("global/firewalls", rule)
    patched = [
        compute("PATCH", NETWORK, {"routingConfig": {"routingMode": "GLOBAL"}}),
        compute("PATCH", "global/firewalls/fw", {"priority": 900}),
    ]
    assert [each["operationType"] for each in patched] == ["compute.networks.patch", "compute.firewalls.patch"]


def test_a_subnetwork_shows_its_flow_logs_twice(compute: Compute) -> None:
    """Recordings computerouternatprivate (with logConfig) and networkservicesauthzextension-minimal (without)."""
    plain = compute.subnetwork()
    assert plain["allowSubnetCidrRoutesOverlap"] is False
    assert "enableFlowLogs" not in plain
    body = {"name": "logged", "network": NETWORK, "ipCidrRange": "10.129.0.0/20", "logConfig": {"enable": False}}
    logged = compute.made(f"{REGION}/subnetworks", body)
    assert logged["enableFlowLogs"] is False
    change = {"logConfig": {"enable": True}, "fingerprint": logged["fingerprint"]}
    compute("PATCH", f"{REGION}/subnetworks/logged", change)
    assert compute("GET", f"{REGION}/subnetworks/logged")["enableFlowLogs"] is True


def test_times_have_an_offset(compute: Compute) -> None:
    """Recording restorebackupalloydbcluster: `[2025-09-04T15:59:09.314-07:00]: Connected.`"""
    operation = compute("PATCH", NETWORK, {"description": "new"})
    assert all(matching(operation[name], MOMENT) for name in ("insertTime", "startTime", "endTime"))
    assert matching(compute("GET", NETWORK)["creationTimestamp"], MOMENT)
    compute.made("global/addresses", peering_range())
    body = {"network": "projects/100000000001/global/networks/net", "reservedPeeringRanges": ["range"]}
    path = "/servicenetworking/v1/services/servicenetworking.googleapis.com/connections/-?force=true"
    started = compute.session.call("PATCH", path, json=body)["name"]
    compute.local.cloud.operations.wait(started.removeprefix("operations/"), 10)
    (peering,) = compute("GET", NETWORK)["peerings"]
    assert matching(peering["stateDetails"], rf"\[{MOMENT}\]: Connected\.")


@pytest.mark.parametrize(
    "field", [{"enableUlaInternalIpv6": True}, {"networkProfile": "global/networkProfiles/europe-west1-a-vpc-roce"}]
)
def test_what_google_takes_and_we_do_not_have_is_named(compute: Compute, field: dict[str, Any]) -> None:
    """Recording computenetworkbasic: Google answers 200 to enableUlaInternalIpv6."""
    compute("PATCH", NETWORK, field, 501)
    compute("POST", "global/networks", {"name": "new", "autoCreateSubnetworks": False} | field, 501)
    compute("PATCH", NETWORK, {"enableUlaInternalIpv6": False})
