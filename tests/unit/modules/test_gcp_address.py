# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_address

from tests.unit.harness import Cloud, Play

ALL = "projects/my-project/regions/europe-west1/addresses"
ONE = f"{ALL}/mlflow-address"
ADDRESS: dict[str, Any] = {
    "name": "mlflow-address",
    "address": "198.51.100.7",
    "addressType": "EXTERNAL",
    "networkTier": "PREMIUM",
    "description": "",
    "status": "RESERVED",
    "labels": {"app": "mlflow", "goog-managed": "x"},
    "labelFingerprint": "abc=",
}
WHO = {"name": "mlflow-address", "region": "europe-west1"}


def test_reserves_one_and_waits_until_it_has_an_address(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body={"name": "mlflow-address"})
    cloud.get("compute", ONE, {"name": "mlflow-address", "status": "RESERVING"})
    cloud.get("compute", ONE, {"name": "mlflow-address", "status": "RESERVING"})
    cloud.get("compute", ONE, ADDRESS | {"labels": {}})
    cloud.mutates("POST", "compute", f"{ONE}/setLabels", body={"labels": {"app": "mlflow"}, "labelFingerprint": "abc="})
    cloud.get("compute", ONE, ADDRESS)
    result = play(gcp_address, labels={"app": "mlflow"}, **WHO)
    assert result["changed"]
    assert result["resource"]["address"] == "198.51.100.7"


def test_a_global_one(cloud: Cloud, play: Play) -> None:
    path = "projects/my-project/global/addresses"
    cloud.get("compute", f"{path}/front", None)
    cloud.mutates("POST", "compute", path, body={"name": "front", "addressType": "EXTERNAL"})
    cloud.get("compute", f"{path}/front", ADDRESS | {"name": "front"})
    assert play(gcp_address, name="front", address_type="EXTERNAL")["changed"]


def test_an_internal_one_in_a_subnetwork(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    link = "projects/my-project/regions/europe-west1/subnetworks/mlflow-subnetwork"
    cloud.mutates(
        "POST",
        "compute",
        ALL,
        body={"name": "mlflow-address", "addressType": "INTERNAL", "subnetwork": link, "address": "10.128.0.9"},
    )
    cloud.get("compute", ONE, ADDRESS | {"address": "10.128.0.9", "addressType": "INTERNAL", "subnetwork": link})
    desired = {"address_type": "INTERNAL", "subnetwork": "mlflow-subnetwork", "address": "10.128.0.9"}
    assert play(gcp_address, **WHO, **desired)["changed"]


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, ADDRESS | {"status": "IN_USE"})
    result = play(gcp_address, network_tier="PREMIUM", labels={"app": "mlflow"}, **WHO)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_replaces_labels_and_keeps_googles_own(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, ADDRESS)
    body = {"labels": {"team": "ml", "goog-managed": "x"}, "labelFingerprint": "abc="}
    cloud.mutates("POST", "compute", f"{ONE}/setLabels", body=body)
    cloud.get("compute", ONE, ADDRESS | {"labels": body["labels"]})
    result = play(gcp_address, labels={"team": "ml"}, **WHO)
    assert result["changed"]
    assert result["diff"]["before"]["labels"] == {"app": "mlflow"}
    assert result["diff"]["after"]["labels"] == {"team": "ml"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("address", "198.51.100.8"),
        ("address_type", "INTERNAL"),
        ("network_tier", "STANDARD"),
        ("description", "mine"),
        ("subnetwork", "other"),
    ],
)
def test_refuses_to_change_an_immutable_property(cloud: Cloud, play: Play, option: str, value: str) -> None:
    cloud.get("compute", ONE, ADDRESS)
    result = play(gcp_address, check=True, fails=True, **WHO, **{option: value})
    assert f"address mlflow-address cannot change {option}" in result["msg"]


def test_plans_without_reserving(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    result = play(gcp_address, check=True, **WHO)
    assert result["changed"]
    assert "address" not in result["resource"]


def test_releases(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, ADDRESS)
    assert play(gcp_address, check=True, state="absent", **WHO)["changed"]
    cloud.get("compute", ONE, ADDRESS)
    cloud.mutates("DELETE", "compute", ONE)
    assert play(gcp_address, state="absent", **WHO)["diff"]["before"]["address"] == "198.51.100.7"
    cloud.get("compute", ONE, None)
    assert not play(gcp_address, state="absent", **WHO)["changed"]
