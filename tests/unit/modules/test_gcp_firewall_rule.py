# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_firewall_rule

from tests.unit.harness import Cloud, Play

ALL = "projects/my-project/global/firewalls"
ONE = f"{ALL}/mlflow-allow-ssh"
NETWORK = "projects/my-project/global/networks/mlflow-network"
RULE: dict[str, Any] = {
    "name": "mlflow-allow-ssh",
    "network": f"https://www.googleapis.com/compute/v1/{NETWORK}",
    "direction": "INGRESS",
    "priority": 1000,
    "disabled": False,
    "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    "sourceRanges": ["198.51.100.1/32", "192.0.2.0/24"],
    "targetTags": ["mlflow-server"],
    "logConfig": {"enable": False},
}
DESIRED: dict[str, Any] = {
    "name": "mlflow-allow-ssh",
    "network": "mlflow-network",
    "allowed": [{"ip_protocol": "tcp", "ports": ["22"]}],
    "source_ranges": ["192.0.2.0/24", "198.51.100.1"],
    "target_tags": ["mlflow-server"],
}


def test_creates(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {
        "name": "mlflow-allow-ssh",
        "network": NETWORK,
        "direction": "INGRESS",
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "sourceRanges": ["192.0.2.0/24", "198.51.100.1/32"],
        "targetTags": ["mlflow-server"],
    }
    cloud.mutates("POST", "compute", ALL, body=body)
    cloud.get("compute", ONE, RULE)
    result = play(gcp_firewall_rule, **DESIRED)
    assert result["changed"]
    assert result["diff"]["after"] == {key: value for key, value in body.items() if key != "name"}


def test_another_order_is_not_a_change(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE)
    result = play(gcp_firewall_rule, **DESIRED)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_closes_a_range_that_was_dropped(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE | {"sourceRanges": [*RULE["sourceRanges"], "0.0.0.0/0"]})
    cloud.mutates("PATCH", "compute", ONE, body={"sourceRanges": ["192.0.2.0/24", "198.51.100.1/32"]})
    cloud.get("compute", ONE, RULE)
    result = play(gcp_firewall_rule, **DESIRED)
    assert result["changed"]
    assert "0.0.0.0/0" in result["diff"]["before"]["sourceRanges"]
    assert "0.0.0.0/0" not in result["diff"]["after"]["sourceRanges"]


def test_closes_a_port_that_was_dropped(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE | {"allowed": [{"IPProtocol": "tcp", "ports": ["22", "3389"]}]})
    cloud.mutates("PATCH", "compute", ONE, body={"allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})
    cloud.get("compute", ONE, RULE)
    assert play(gcp_firewall_rule, **DESIRED)["changed"]


def test_sees_ports_where_all_of_a_protocol_is_meant_and_the_other_way_round(cloud: Cloud, play: Play) -> None:
    everything = [{"IPProtocol": "tcp"}]
    cloud.get("compute", ONE, RULE | {"allowed": everything})
    assert play(gcp_firewall_rule, check=True, **DESIRED)["changed"]
    cloud.get("compute", ONE, RULE)
    assert play(gcp_firewall_rule, check=True, **DESIRED | {"allowed": [{"ip_protocol": "tcp"}]})["changed"]


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("description", "for people", "description"),
        ("priority", 900, "priority"),
        ("disabled", True, "disabled"),
        ("source_tags", ["bastion"], "sourceTags"),
        ("target_tags", [], "targetTags"),
        ("source_service_accounts", ["a@b.iam.gserviceaccount.com"], "sourceServiceAccounts"),
        ("target_service_accounts", ["a@b.iam.gserviceaccount.com"], "targetServiceAccounts"),
        ("destination_ranges", ["10.0.0.0/8"], "destinationRanges"),
    ],
)
def test_updates(cloud: Cloud, play: Play, option: str, value: Any, field: str) -> None:
    cloud.get("compute", ONE, RULE)
    cloud.mutates("PATCH", "compute", ONE, body={field: value})
    cloud.get("compute", ONE, RULE | {field: value})
    assert play(gcp_firewall_rule, **DESIRED | {option: value})["resource"][field] == value


@pytest.mark.parametrize("now", [None, RULE])
@pytest.mark.parametrize("check", [True, False])
def test_refuses_an_empty_list_of_sources_which_google_reads_as_everybody(
    cloud: Cloud, play: Play, now: Any, check: bool
) -> None:
    cloud.get("compute", ONE, now)
    result = play(gcp_firewall_rule, check=check, fails=True, **DESIRED | {"source_ranges": []})
    assert "the whole internet" in result["msg"]


def test_takes_the_sources_that_are_there_where_the_task_names_none(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE)
    assert not play(gcp_firewall_rule, **DESIRED | {"source_ranges": None})["changed"]


def test_refuses_to_change_an_immutable_property(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE)
    result = play(gcp_firewall_rule, check=True, fails=True, **DESIRED | {"network": "default"})
    assert "firewall rule mlflow-allow-ssh cannot change network" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_replaces_a_rule_of_the_other_direction(cloud: Cloud, play: Play, check: bool) -> None:
    """Google cannot change the direction. A rule of the other direction admits no traffic to the VM."""
    other = {key: value for key, value in RULE.items() if key not in ("sourceRanges", "targetTags")}
    cloud.get("compute", ONE, other | {"direction": "EGRESS", "destinationRanges": ["0.0.0.0/0"]})
    if not check:
        body = {
            "name": "mlflow-allow-ssh",
            "network": NETWORK,
            "direction": "INGRESS",
            "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
            "sourceRanges": ["192.0.2.0/24", "198.51.100.1/32"],
            "targetTags": ["mlflow-server"],
        }
        cloud.mutates("DELETE", "compute", ONE)
        cloud.mutates("POST", "compute", ALL, body=body)
        cloud.get("compute", ONE, RULE)
    result = play(gcp_firewall_rule, check=check, **DESIRED)
    assert result["changed"]
    assert result["diff"]["before"]["direction"] == "EGRESS"
    assert result["diff"]["after"]["direction"] == "INGRESS"


def test_turns_a_deny_rule_into_an_allow_rule(cloud: Cloud, play: Play) -> None:
    """A rule has entries of one kind. The request must remove the entries of the other kind."""
    rule = {key: value for key, value in RULE.items() if key != "allowed"} | {"denied": RULE["allowed"]}
    cloud.get("compute", ONE, rule)
    cloud.mutates("PATCH", "compute", ONE, body={"allowed": [{"IPProtocol": "tcp", "ports": ["22"]}], "denied": []})
    cloud.get("compute", ONE, RULE)
    assert play(gcp_firewall_rule, **DESIRED)["changed"]


def test_reverts_changes_that_disable_the_rule(cloud: Cloud, play: Play) -> None:
    stated = {"disabled": False, "priority": 1000, "source_tags": [], "source_service_accounts": []}
    stated |= {"destination_ranges": [], "target_service_accounts": []}
    cloud.get("compute", ONE, RULE)
    assert not play(gcp_firewall_rule, **DESIRED | stated)["changed"]
    drift = {"disabled": True, "priority": 65000, "destinationRanges": ["10.0.0.0/8"], "sourceTags": ["a"]}
    cloud.get("compute", ONE, RULE | drift)
    body = {"disabled": False, "priority": 1000, "destinationRanges": [], "sourceTags": []}
    cloud.mutates("PATCH", "compute", ONE, body=body)
    cloud.get("compute", ONE, RULE)
    assert play(gcp_firewall_rule, **DESIRED | stated)["changed"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE)
    assert play(gcp_firewall_rule, check=True, name="mlflow-allow-ssh", state="absent")["changed"]
    cloud.get("compute", ONE, RULE)
    cloud.mutates("DELETE", "compute", ONE)
    result = play(gcp_firewall_rule, name="mlflow-allow-ssh", state="absent")
    assert result["diff"]["before"]["sourceRanges"] == RULE["sourceRanges"]
    cloud.get("compute", ONE, None)
    assert not play(gcp_firewall_rule, name="mlflow-allow-ssh", state="absent")["changed"]


def test_protocols_in_capitals_are_no_difference(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, RULE)
    allowed = [{"ip_protocol": "TCP", "ports": ["22"]}]
    assert not play(gcp_firewall_rule, **DESIRED | {"allowed": allowed})["changed"]
