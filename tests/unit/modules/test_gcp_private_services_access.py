# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_private_services_access

from tests.unit.harness import Cloud, FakeClock, Play

RANGES = "projects/my-project/global/addresses"
RANGE = f"{RANGES}/mlflow-services"
NETWORK = "projects/my-project/global/networks/mlflow-network"
CONSUMER = "projects/100000000001/global/networks/mlflow-network"
CONNECTIONS = "v1/services/servicenetworking.googleapis.com/connections"
CONNECTION_PATH = f"{CONNECTIONS}/servicenetworking-googleapis-com"
ADDRESS: dict[str, Any] = {
    "name": "mlflow-services",
    "address": "10.20.0.0",
    "prefixLength": 20,
    "purpose": "VPC_PEERING",
    "addressType": "INTERNAL",
    "network": f"https://www.googleapis.com/compute/v1/{NETWORK}",
    "status": "RESERVED",
}
PEERED = {"name": "mlflow-network", "peerings": [{"name": "servicenetworking-googleapis-com", "state": "ACTIVE"}]}
FORCED = {"force": "true", "updateMask": "reservedPeeringRanges"}
WHO = {"network": "mlflow-network", "range_name": "mlflow-services"}
STILL_USED = {
    "code": 9,
    "message": "Failed to delete connection; Producer services (e.g. CloudSQL) are still using this connection.",
}


def connection(*ranges: str) -> dict[str, Any]:
    return {
        "network": CONSUMER,
        "peering": "servicenetworking-googleapis-com",
        "reservedPeeringRanges": list(ranges),
        "service": "services/servicenetworking.googleapis.com",
    }


def reads(cloud: Cloud, connected: dict[str, Any] | None, *, number: bool = False) -> None:
    """Expect requests for the range, the network, and the connections if the network has the peering.

    The project number is read once in a run, before the first request to Service Networking.
    """
    cloud.get("compute", RANGE, ADDRESS)
    looks(cloud, connected, number=number)


def looks(cloud: Cloud, connected: dict[str, Any] | None, *, number: bool = False) -> None:
    cloud.get("compute", NETWORK, PEERED if connected else {"name": "mlflow-network"})
    if number:
        reads_number(cloud)
    if connected:
        cloud.get("servicenetworking", CONNECTIONS, {"connections": [connected]}, query={"network": CONSUMER})


def reads_number(cloud: Cloud) -> None:
    cloud.get("cloudresourcemanager", "v1/projects/my-project", {"projectNumber": "100000000001"})


def connects(cloud: Cloud, *ranges: str, failure: dict[str, Any] | None = None) -> None:
    body = {"network": CONSUMER, "reservedPeeringRanges": list(ranges)}
    path = f"{CONNECTIONS}/-"
    cloud.mutates("PATCH", "servicenetworking", path, query=FORCED, body=body, failure=failure)


def test_reserves_and_connects(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", RANGE, None)
    body = {
        "name": "mlflow-services",
        "purpose": "VPC_PEERING",
        "addressType": "INTERNAL",
        "prefixLength": 20,
        "network": NETWORK,
    }
    cloud.mutates("POST", "compute", RANGES, body=body)
    reads(cloud, None, number=True)
    connects(cloud, "mlflow-services")
    reads(cloud, connection("mlflow-services"))
    result = play(gcp_private_services_access, prefix_length=20, **WHO)
    assert result["changed"]
    assert result["resource"]["range"]["address"] == "10.20.0.0"
    assert result["resource"]["connection"]["reservedPeeringRanges"] == ["mlflow-services"]
    assert result["diff"]["after"] == {"range": {"network": NETWORK, "prefixLength": 20}, "connected": True}


def test_keeps_the_ranges_of_others(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("theirs"), number=True)
    connects(cloud, "theirs", "mlflow-services")
    reads(cloud, connection("theirs", "mlflow-services"))
    result = play(gcp_private_services_access, prefix_length=20, **WHO)
    assert result["changed"]
    assert result["diff"]["before"]["connected"] is False
    assert result["diff"]["after"]["connected"] is True


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("theirs", "mlflow-services"), number=True)
    result = play(gcp_private_services_access, prefix_length=20, address="10.20.0.0", **WHO)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_a_known_project_number_saves_a_request(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"))
    known = {"project_number": "100000000001"}
    assert not play(gcp_private_services_access, prefix_length=20, **WHO, **known)["changed"]


def test_a_project_that_is_given_by_number_is_not_looked_up(cloud: Cloud, play: Play) -> None:
    path = "projects/100000000001/global"
    cloud.get("compute", f"{path}/addresses/mlflow-services", ADDRESS | {"network": f"{path}/networks/mlflow-network"})
    cloud.get("compute", f"{path}/networks/mlflow-network", PEERED)
    answer = {"connections": [connection("mlflow-services")]}
    cloud.get("servicenetworking", CONNECTIONS, answer, query={"network": CONSUMER})
    assert not play(gcp_private_services_access, project="100000000001", prefix_length=20, **WHO)["changed"]


def test_plans_on_an_empty_project(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", RANGE, None)
    assert play(gcp_private_services_access, check=True, prefix_length=20, **WHO)["changed"]
    cloud.fails("GET", "compute", RANGE, 403, "accessNotConfigured")
    assert play(gcp_private_services_access, check=True, prefix_length=20, **WHO)["changed"]
    cloud.get("compute", RANGE, ADDRESS)
    cloud.get("compute", NETWORK, PEERED)
    cloud.fails("GET", "cloudresourcemanager", "v1/projects/my-project", 403, "SERVICE_DISABLED")
    assert play(gcp_private_services_access, check=True, prefix_length=20, **WHO)["changed"]


def test_plans_the_connection_without_it(cloud: Cloud, play: Play) -> None:
    reads(cloud, None)
    assert play(gcp_private_services_access, check=True, prefix_length=20, **WHO)["changed"]


@pytest.mark.parametrize(("option", "value"), [("prefix_length", 16), ("address", "10.99.0.0"), ("network", "other")])
def test_refuses_to_change_an_immutable_property(cloud: Cloud, play: Play, option: str, value: Any) -> None:
    cloud.get("compute", RANGE, ADDRESS)
    cloud.get("compute", NETWORK.replace("mlflow-network", value) if option == "network" else NETWORK, None)
    params = {"prefix_length": 20, **WHO, option: value}
    assert f"cannot change {option}" in play(gcp_private_services_access, fails=True, check=True, **params)["msg"]


def test_disconnects_and_releases(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    cloud.mutates("POST", "servicenetworking", CONNECTION_PATH, body={"consumerNetwork": CONSUMER})
    cloud.mutates("DELETE", "compute", RANGE)
    result = play(gcp_private_services_access, state="absent", **WHO)
    assert result["changed"]
    assert result["diff"]["before"]["connected"] is True
    assert result["diff"]["after"] == {}


def test_disconnects_its_own_range_alone(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("theirs", "mlflow-services"), number=True)
    connects(cloud, "theirs")
    cloud.mutates("DELETE", "compute", RANGE)
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_releases_a_range_whose_network_is_gone(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", RANGE, ADDRESS)
    cloud.get("compute", NETWORK, None)
    cloud.mutates("DELETE", "compute", RANGE)
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_disconnects_a_range_that_was_released_by_hand(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", RANGE, None)
    looks(cloud, connection("mlflow-services"), number=True)
    cloud.mutates("POST", "servicenetworking", CONNECTION_PATH, body={"consumerNetwork": CONSUMER})
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_has_nothing_to_do_where_nothing_is(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", RANGE, None)
    cloud.get("compute", NETWORK, None)
    assert not play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_deletes_nothing_in_check_mode(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    assert play(gcp_private_services_access, check=True, state="absent", **WHO)["changed"]


def database(network: str) -> dict[str, Any]:
    return {"name": "mlflow-database", "settings": {"ipConfiguration": {"privateNetwork": network}}}


def refuses_deletion(cloud: Cloud, instances: Any) -> None:
    body = {"consumerNetwork": CONSUMER}
    cloud.mutates("POST", "servicenetworking", CONNECTION_PATH, body=body, failure=STILL_USED)
    cloud.get("sql", "v1/projects/my-project/instances", instances)


@pytest.mark.parametrize("instances", [{}, {"items": [{"name": "x"}, database(f"{NETWORK}-of-others")]}])
def test_removes_the_peering_if_no_database_exists(cloud: Cloud, play: Play, clock: FakeClock, instances: Any) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    refuses_deletion(cloud, instances)
    cloud.mutates("POST", "compute", f"{NETWORK}/removePeering", body={"name": "servicenetworking-googleapis-com"})
    cloud.mutates("DELETE", "compute", RANGE)
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]
    assert sum(clock.sleeps) < 5  # Google refuses for days, so waiting does not help


def test_a_removed_peering_is_not_removed_again(cloud: Cloud, play: Play) -> None:
    """Service Networking lists the connection for days after the peering was removed."""
    reads(cloud, None)
    cloud.mutates("DELETE", "compute", RANGE)
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_a_peering_that_was_removed_concurrently_is_done(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    refuses_deletion(cloud, {})
    message = "There is no peering (servicenetworking-googleapis-com) for the network."
    body = {"name": "servicenetworking-googleapis-com"}
    cloud.fails("POST", "compute", f"{NETWORK}/removePeering", 400, "invalid", message, body=body)
    cloud.mutates("DELETE", "compute", RANGE)
    assert play(gcp_private_services_access, state="absent", **WHO)["changed"]


def test_never_cuts_off_a_database(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    refuses_deletion(cloud, {"items": [database(NETWORK)]})
    result = play(gcp_private_services_access, fails=True, state="absent", **WHO)
    assert "used by the Cloud SQL instances mlflow-database" in result["msg"]


def test_another_error_is_no_reason_to_remove_the_peering(cloud: Cloud, play: Play) -> None:
    reads(cloud, connection("mlflow-services"), number=True)
    cloud.fails("POST", "servicenetworking", CONNECTION_PATH, 403, "forbidden", body={"consumerNetwork": CONSUMER})
    assert "Cannot delete" in play(gcp_private_services_access, fails=True, state="absent", **WHO)["msg"]


UNAUTHENTICATED = {
    "code": 16,
    "message": "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
}
NO_ROLE = {"code": 7, "message": "Required 'compute.globalAddresses.list' permission for 'projects/my-project'"}


def test_waits_for_the_service_agent_of_a_new_project(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", RANGE, ADDRESS)
    cloud.get("compute", NETWORK, PEERED)
    reads_number(cloud)
    refused = {"message": "Precondition check failed.", "query": {"network": CONSUMER}}
    cloud.fails("GET", "servicenetworking", CONNECTIONS, 400, "FAILED_PRECONDITION", **refused)
    cloud.get("servicenetworking", CONNECTIONS, {}, query={"network": CONSUMER})
    connects(cloud, "mlflow-services", failure=UNAUTHENTICATED)
    connects(cloud, "mlflow-services", failure=NO_ROLE)
    connects(cloud, "mlflow-services")
    reads(cloud, connection("mlflow-services"))
    assert play(gcp_private_services_access, prefix_length=20, **WHO)["changed"]
    assert clock.sleeps


@pytest.mark.parametrize("failure", [UNAUTHENTICATED, NO_ROLE])
def test_a_service_agent_that_never_works_is_created_by_hand(
    cloud: Cloud, play: Play, monkeypatch: pytest.MonkeyPatch, failure: dict[str, Any]
) -> None:
    """The failure does not depend on the credentials and permissions of the caller."""
    monkeypatch.setattr(gcp_private_services_access, "AGENT_SECONDS", 0.0)
    reads(cloud, None, number=True)
    connects(cloud, "mlflow-services", failure=failure)
    message = play(gcp_private_services_access, fails=True, prefix_length=20, **WHO)["msg"]
    assert failure["message"] in message
    create = "gcloud beta services identity create --service=servicenetworking.googleapis.com --project=my-project"
    assert f"`{create}`" in message
    assert "--member=serviceAccount:service-100000000001@service-networking.iam.gserviceaccount.com" in message
    assert "--role=roles/servicenetworking.serviceAgent" in message
    assert "The account lacks" not in message
    assert "login" not in message.replace(failure["message"], "")


def test_an_operation_of_the_wrong_project_is_not_waited_for(cloud: Cloud, play: Play) -> None:
    reads(cloud, None, number=True)
    where = "https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project=42"
    connects(
        cloud, "mlflow-services", failure={"code": 7, "message": f"API is disabled. Enable it by visiting {where}"}
    )
    play(gcp_private_services_access, fails=True, prefix_length=20, **WHO)
