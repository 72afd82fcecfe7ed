# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_network

from tests.unit.harness import Cloud, Play

ALL = "projects/my-project/global/networks"
ONE = f"{ALL}/mlflow-network"
NETWORK: dict[str, Any] = {
    "name": "mlflow-network",
    "autoCreateSubnetworks": False,
    "mtu": 1460,
    "routingConfig": {"routingMode": "REGIONAL"},
    "selfLink": f"https://www.googleapis.com/compute/v1/{ONE}",
}


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {
        "name": "mlflow-network",
        "autoCreateSubnetworks": False,
        "mtu": 1460,
        "routingConfig": {"routingMode": "REGIONAL"},
    }
    cloud.mutates("POST", "compute", ALL, body=body)
    cloud.get("compute", ONE, NETWORK)
    result = play(gcp_network, name="mlflow-network", routing_mode="REGIONAL", mtu=1460)
    assert result["changed"]
    assert result["resource"] == NETWORK
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == {
        "autoCreateSubnetworks": False,
        "mtu": 1460,
        "routingConfig": {"routingMode": "REGIONAL"},
    }


def test_plans_the_creation_without_it(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    result = play(gcp_network, check=True, name="mlflow-network")
    assert result["changed"]
    assert result["diff"]["after"] == {"autoCreateSubnetworks": False}


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    result = play(gcp_network, name="mlflow-network", routing_mode="REGIONAL")
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_updates_only_what_differs(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    cloud.mutates("PATCH", "compute", ONE, body={"routingConfig": {"routingMode": "GLOBAL"}})
    cloud.get("compute", ONE, NETWORK | {"routingConfig": {"routingMode": "GLOBAL"}})
    result = play(gcp_network, name="mlflow-network", routing_mode="GLOBAL", mtu=1460)
    assert result["changed"]
    assert result["diff"]["before"]["routingConfig"] == {"routingMode": "REGIONAL"}
    assert result["diff"]["after"]["routingConfig"] == {"routingMode": "GLOBAL"}
    assert result["resource"]["routingConfig"] == {"routingMode": "GLOBAL"}


def test_plans_the_update_without_it(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    result = play(gcp_network, check=True, name="mlflow-network", mtu=8896)
    assert result["changed"]
    assert (result["diff"]["before"]["mtu"], result["diff"]["after"]["mtu"]) == (1460, 8896)


def test_refuses_to_change_the_mode(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK | {"autoCreateSubnetworks": True})
    result = play(gcp_network, fails=True, check=True, name="mlflow-network")
    assert (
        "network mlflow-network cannot change auto_create_subnetworks (current: True; desired: False)" in result["msg"]
    )
    assert "state: absent" in result["msg"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    cloud.mutates("DELETE", "compute", ONE)
    result = play(gcp_network, name="mlflow-network", state="absent")
    assert result["changed"]
    assert result["diff"]["before"]["mtu"] == 1460
    assert result["diff"]["after"] == {}


def test_deletes_nothing_in_check_mode_nor_where_nothing_is(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    assert play(gcp_network, check=True, name="mlflow-network", state="absent")["changed"]
    cloud.get("compute", ONE, None)
    assert not play(gcp_network, name="mlflow-network", state="absent")["changed"]


def test_names_the_network_in_the_operations_error(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, NETWORK)
    failure = {"errors": [{"code": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "message": "used by subnetwork 'x'"}]}
    cloud.mutates("DELETE", "compute", ONE, failure=failure)
    result = play(gcp_network, fails=True, name="mlflow-network", state="absent")
    assert result["msg"].startswith(
        "Cannot delete network mlflow-network in project my-project: used by subnetwork 'x'"
    )
    assert result["reason"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
