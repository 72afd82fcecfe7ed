# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Private services access against the contract."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.services.servicenetworking import connections as servicenetworking
from tests.localcloud.compute_client import Compute
from tests.localcloud.harness import Local

SERVICE = "/servicenetworking/v1/services/servicenetworking.googleapis.com/connections"
NETWORK = "projects/100000000001/global/networks/net"
PEERING = "servicenetworking-googleapis-com"


@pytest.fixture
def compute(local: Local) -> Compute:
    compute = Compute(local)
    compute.network()
    for name in ("one", "two"):
        body = {"name": name, "addressType": "INTERNAL", "purpose": "VPC_PEERING", "network": "global/networks/net"}
        compute.made("global/addresses", body | {"prefixLength": 24})
    return compute


def run(compute: Compute, verb: str, path: str, body: dict[str, Any]) -> Any:
    """Send a request, wait for the operation, return it."""
    operation = compute.session.call(verb, path, json=body)
    compute.local.cloud.operations.wait(operation["name"].removeprefix("operations/"), 10)
    done = compute.session.call("GET", f"/servicenetworking/v1/{operation['name']}")
    assert done["done"] is True
    return done


def connect(compute: Compute, *names: str) -> Any:
    return run(compute, "POST", SERVICE, {"network": NETWORK, "reservedPeeringRanges": list(names)})


def listed(compute: Compute) -> Any:
    return compute.session.call("GET", f"{SERVICE}?network={NETWORK}").get("connections", [])


def test_connection_life(compute: Compute) -> None:
    assert listed(compute) == []
    done = connect(compute, "one")
    assert done["response"]["peering"] == PEERING
    assert listed(compute) == [
        {
            "network": NETWORK,
            "peering": PEERING,
            "reservedPeeringRanges": ["one"],
            "service": "services/servicenetworking.googleapis.com",
        }
    ]
    peering = compute("GET", "global/networks/net")["peerings"][0]
    assert (peering["name"], peering["state"]) == (PEERING, "ACTIVE")
    address = compute("GET", "global/addresses/one")["address"]
    assert [(s.network, s.cidr) for s in compute.state.peered_ranges] == [("mlflow-local/net", f"{address}/24")]
    assert "error" not in connect(compute, "one")
    again = connect(compute, "one", "two")
    assert again["error"]["code"] == 9
    assert "Cannot modify allocated ranges" in again["error"]["message"]
    both = {"network": NETWORK, "reservedPeeringRanges": ["one", "two"]}
    run(compute, "PATCH", f"{SERVICE}/-?force=true&updateMask=reservedPeeringRanges", both)
    assert listed(compute)[0]["reservedPeeringRanges"] == ["one", "two"]
    assert len(compute.state.peered_ranges) == 2
    gone = run(compute, "POST", f"{SERVICE}/{PEERING}", {"consumerNetwork": NETWORK})
    assert gone["response"]["@type"].endswith("/google.protobuf.Empty")
    assert listed(compute) == []
    assert "peerings" not in compute("GET", "global/networks/net")
    assert compute.state.peered_ranges == ()


def test_a_forced_patch_creates_the_connection_and_a_dash_deletes_it(compute: Compute) -> None:
    """Terraform creates connections by a forced PATCH, which failed; gcloud deletes them as `-`, which was a 404."""
    body = {"network": NETWORK, "reservedPeeringRanges": ["one"]}
    path = f"{SERVICE}/-?updateMask=reservedPeeringRanges"
    assert run(compute, "PATCH", path, body)["error"]["code"] == 5
    assert listed(compute) == []
    made = run(compute, "PATCH", f"{path}&force=true", body)
    assert made["response"]["reservedPeeringRanges"] == ["one"]
    assert listed(compute)[0]["reservedPeeringRanges"] == ["one"]
    assert compute("GET", "global/networks/net")["peerings"][0]["name"] == PEERING
    run(compute, "POST", f"{SERVICE}/-", {"consumerNetwork": NETWORK})
    assert listed(compute) == []


def test_only_ranges_of_the_network(compute: Compute) -> None:
    compute.network("other")
    other = NETWORK.replace("networks/net", "networks/other")
    for network, names in ((NETWORK, ["none"]), (other, ["one"]), (NETWORK, [])):
        body = {"network": network, "reservedPeeringRanges": names}
        compute.session.call("POST", SERVICE, 400, json=body)
    compute.session.call("POST", SERVICE, 404, json={"network": f"{NETWORK}x", "reservedPeeringRanges": ["one"]})


def test_addresses_for_servers(compute: Compute) -> None:
    cloud = compute.local.cloud
    with pytest.raises(ApiError, match="NETWORK_NOT_PEERED"):
        servicenetworking.allocate(cloud, NETWORK)
    connect(compute, "one")
    start = compute("GET", "global/addresses/one")["address"].rpartition(".")[0]
    first, second = (servicenetworking.allocate(cloud, NETWORK) for _ in range(2))
    assert first == (f"{start}.2", f"{start}.0/24")
    assert second[0] == f"{start}.3"
    servicenetworking.release(cloud, "projects/mlflow-local/global/networks/net", first[0])
    assert servicenetworking.allocate(cloud, NETWORK) == first


def test_connection_in_use_is_not_deleted(compute: Compute) -> None:
    connect(compute, "one")
    cloud = compute.local.cloud
    servicenetworking.allocate(cloud, NETWORK)
    settings = {"ipConfiguration": {"privateNetwork": "projects/mlflow-local/global/networks/net"}}
    cloud.store.collection("sqladmin.instances").put("projects/mlflow-local/instances/db", {"settings": settings})
    refused = run(compute, "POST", f"{SERVICE}/{PEERING}", {"consumerNetwork": NETWORK})
    assert refused["error"]["code"] == 9
    assert "still using" in refused["error"]["message"]
    fewer = {"network": NETWORK, "reservedPeeringRanges": ["two"]}
    assert run(compute, "PATCH", f"{SERVICE}/-", fewer)["error"]["code"] == 9
    assert "error" in compute("DELETE", "global/networks/net")


def test_a_record_outlives_its_peering(compute: Compute) -> None:
    connect(compute, "one")
    compute("POST", "global/networks/net/removePeering", {"name": PEERING})
    assert compute.state.peered_ranges == ()
    with pytest.raises(ApiError, match="NETWORK_NOT_PEERED"):
        servicenetworking.allocate(compute.local.cloud, NETWORK)
    again = compute("POST", "global/networks/net/removePeering", {"name": PEERING}, 400)
    assert again["error"]["message"] == f"There is no peering ({PEERING}) for the network."
    assert listed(compute)[0]["reservedPeeringRanges"] == ["one"]
    compute.removed("global/addresses/one")
    assert listed(compute)[0]["reservedPeeringRanges"] == ["one"]
    # PATCH recreates the connection; POST with another range does not.
    assert "Cannot modify allocated ranges" in connect(compute, "two")["error"]["message"]
    body = {"network": NETWORK, "reservedPeeringRanges": ["two"]}
    assert "error" not in run(compute, "PATCH", f"{SERVICE}/-?force=true&updateMask=reservedPeeringRanges", body)
    assert compute("GET", "global/networks/net")["peerings"][0]["name"] == PEERING
    assert len(compute.state.peered_ranges) == 1


def test_a_new_network_does_not_meet_the_record_of_the_old_one(compute: Compute) -> None:
    connect(compute, "one")
    compute("POST", "global/networks/net/removePeering", {"name": PEERING})
    for path in ("global/addresses/one", "global/addresses/two", "global/networks/net"):
        compute.removed(path)
    compute.network()
    assert listed(compute) == []


class Hours(Clock):
    """Real time plus hours that a test adds."""

    added = 0.0

    def time(self) -> float:
        return super().time() + self.added * 3600


def test_a_deleted_database_keeps_the_connection_in_use(compute: Compute) -> None:
    connect(compute, "one")
    cloud = compute.local.cloud
    cloud.clock = clock = Hours()
    address, _ = servicenetworking.allocate(cloud, NETWORK)
    servicenetworking.release(cloud, NETWORK, address)
    disconnect = {"consumerNetwork": NETWORK}
    clock.added = 95
    assert "still using" in run(compute, "POST", f"{SERVICE}/{PEERING}", disconnect)["error"]["message"]
    clock.added = 97
    assert "error" not in run(compute, "POST", f"{SERVICE}/{PEERING}", disconnect)
    assert listed(compute) == []


def test_the_service_agent_of_a_new_project_is_not_ready(compute: Compute) -> None:
    cloud, call = compute.local.cloud, compute.session.call
    cloud.clock = clock = Hours()
    call("PUT", "/localcloud/profile", json={"service_agents": 3600})
    assert listed(compute) == []  # the API was not enabled by Service Usage: there is no record of its agent
    cloud.activate("mlflow-local", "servicenetworking.googleapis.com")
    refused = call("GET", f"{SERVICE}?network={NETWORK}", 400)
    assert (refused["error"]["status"], refused["error"]["message"]) == (
        "FAILED_PRECONDITION",
        "Precondition check failed.",
    )
    assert listed(compute) == []
    body = {"network": NETWORK, "reservedPeeringRanges": ["one"]}
    errors = [
        connect(compute, "one")["error"],
        run(compute, "PATCH", f"{SERVICE}/-?force=true", body)["error"],
    ]
    assert [error["code"] for error in errors] == [16, 7]
    assert "invalid authentication credentials" in errors[0]["message"]
    assert "'compute.globalAddresses.list'" in errors[1]["message"]
    clock.added += 1.01
    cloud.activate("mlflow-local", "servicenetworking.googleapis.com")
    assert "error" not in connect(compute, "one")


def test_permission_is_on_the_networks_project(compute: Compute) -> None:
    viewer = compute.local.session_as(compute.local.account("viewer", "roles/compute.viewer"))
    viewer.call("POST", SERVICE, 403, json={"network": NETWORK, "reservedPeeringRanges": ["one"]})
