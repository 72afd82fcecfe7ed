# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_subnetwork

from tests.unit.harness import Cloud, Play

ALL = "projects/my-project/regions/europe-west1/subnetworks"
ONE = f"{ALL}/mlflow-subnetwork"
NETWORK = "projects/my-project/global/networks/mlflow-network"
SUBNETWORK: dict[str, Any] = {
    "name": "mlflow-subnetwork",
    "network": f"https://www.googleapis.com/compute/v1/{NETWORK}",
    "ipCidrRange": "10.128.0.0/20",
    "privateIpGoogleAccess": True,
    "fingerprint": "abc=",
    "selfLink": f"https://www.googleapis.com/compute/v1/{ONE}",
}
WHO = {"name": "mlflow-subnetwork", "region": "europe-west1"}
DESIRED = {**WHO, "network": "mlflow-network", "ip_cidr_range": "10.128.0.0/20", "private_ip_google_access": True}


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {
        "name": "mlflow-subnetwork",
        "network": NETWORK,
        "ipCidrRange": "10.128.0.0/20",
        "privateIpGoogleAccess": True,
    }
    cloud.mutates("POST", "compute", ALL, body=body)
    cloud.get("compute", ONE, SUBNETWORK)
    result = play(gcp_subnetwork, **DESIRED)
    assert result["changed"]
    assert result["resource"] == SUBNETWORK
    assert result["diff"]["after"] == {key: body[key] for key in ("network", "ipCidrRange", "privateIpGoogleAccess")}


def test_plans_it_where_the_api_is_not_enabled_yet(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured")
    result = play(gcp_subnetwork, check=True, **DESIRED)
    assert result["changed"]
    assert result["diff"]["before"] == {}


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    result = play(gcp_subnetwork, **DESIRED)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_closes_and_opens_the_way_to_googles_apis(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    cloud.mutates("POST", "compute", f"{ONE}/setPrivateIpGoogleAccess", body={"privateIpGoogleAccess": False})
    cloud.get("compute", ONE, SUBNETWORK | {"privateIpGoogleAccess": False})
    result = play(gcp_subnetwork, **DESIRED | {"private_ip_google_access": False})
    assert result["changed"]
    assert result["diff"]["before"]["privateIpGoogleAccess"] is True
    assert result["diff"]["after"]["privateIpGoogleAccess"] is False


def test_widens_the_range(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    cloud.mutates("POST", "compute", f"{ONE}/expandIpCidrRange", body={"ipCidrRange": "10.128.0.0/18"})
    cloud.get("compute", ONE, SUBNETWORK | {"ipCidrRange": "10.128.0.0/18"})
    assert play(gcp_subnetwork, **DESIRED | {"ip_cidr_range": "10.128.0.0/18"})["changed"]


@pytest.mark.parametrize("asked", ["10.128.0.0/24", "10.132.0.0/20", "fd00::/64"])
def test_refuses_any_other_range_in_the_plan_already(cloud: Cloud, play: Play, asked: str) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    result = play(gcp_subnetwork, check=True, fails=True, **DESIRED | {"ip_cidr_range": asked})
    assert asked in result["msg"]
    assert not result["changed"]


def test_refuses_to_move_it_to_another_network(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    result = play(gcp_subnetwork, fails=True, **DESIRED | {"network": "default"})
    assert "subnetwork mlflow-subnetwork cannot change network" in result["msg"]


def test_plans_an_update_without_it(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    result = play(gcp_subnetwork, check=True, **DESIRED | {"ip_cidr_range": "10.128.0.0/18"})
    assert result["changed"]
    assert result["resource"]["ipCidrRange"] == "10.128.0.0/18"


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, SUBNETWORK)
    assert play(gcp_subnetwork, check=True, state="absent", **WHO)["changed"]
    cloud.get("compute", ONE, SUBNETWORK)
    cloud.mutates("DELETE", "compute", ONE)
    assert play(gcp_subnetwork, state="absent", **WHO)["diff"]["after"] == {}
    cloud.get("compute", ONE, None)
    assert not play(gcp_subnetwork, state="absent", **WHO)["changed"]


def test_wants_network_and_range(cloud: Cloud, play: Play) -> None:
    result = play(gcp_subnetwork, fails=True, **WHO)
    assert "network, ip_cidr_range" in result["msg"]
