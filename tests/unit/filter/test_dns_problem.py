# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Zones and records that prevent the record of a host name are refused with cause and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.dns_problem import FilterModule, dns_problem

ZONE: dict[str, Any] = {"name": "example-com", "dnsName": "example.com.", "visibility": "public"}
FOUND: dict[str, Any] = {"api_enabled": True, "zone": ZONE, "in_zone": True, "record_sets": []}
OWN = {"project": "dns-project", "zone": "example-com", "name": "mlflow.example.com."}
A = {"name": "mlflow.example.com.", "type": "A", "ttl": 300, "rrdatas": ["198.51.100.7"]}
OTHER = A | {"rrdatas": ["192.0.2.1"]}
POLICY = {"name": "mlflow.example.com.", "type": "A", "ttl": 300, "routingPolicy": {"wrr": {}}}


def problem(address: str = "198.51.100.7", recorded: dict[str, str] | None = None, **changed: Any) -> str:
    where = {"hostname": "MLflow.example.com", "zone": "example-com", "project": "dns-project"}
    return dns_problem(FOUND | changed, address=address, recorded=recorded or {}, **where)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"zone": None, "in_zone": False},
            ["dns_managed_zone is 'example-com'", "(dns_project) has no such"],
        ),
        ({"zone": ZONE | {"visibility": "private"}}, ["a private zone", "the public zone of example.com."]),
        (
            {"in_zone": False},
            ["deployment_hostname is 'MLflow.example.com'", "DNS name example.com", "ends with .example.com"],
        ),
        (
            {"record_sets": [OTHER]},
            [
                *["type A", "this deployment did not write: 192.0.2.1", "get the address 198.51.100.7"],
                "`gcloud dns record-sets delete mlflow.example.com. --type=A --zone=example-com --project=dns-project`",
            ],
        ),
        ({"record_sets": [A | {"rrdatas": ["198.51.100.7", "192.0.2.1"]}]}, ["write: 198.51.100.7, 192.0.2.1"]),
        ({"record_sets": [POLICY]}, ["a routing policy"]),
        ({"record_sets": [A, A | {"type": "AAAA", "rrdatas": ["2001:db8::1"]}]}, ["--type=AAAA", "2001:db8::1"]),
        (
            {"record_sets": [A | {"type": "CNAME", "rrdatas": ["www.example.org."]}]},
            ["CNAME", "www.example.org."],
        ),
        ({"record_sets": [OTHER], "address": ""}, ["get the address that this run reserves"]),
    ],
)
def test_refused(changed: dict[str, Any], words: list[str]) -> None:
    said = problem(**changed)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"api_enabled": False, "zone": None, "in_zone": False},
        {"record_sets": [A]},
        {"record_sets": [A | {"type": kind, "rrdatas": ["x"]} for kind in ("TXT", "CAA", "HTTPS")]},
        # Drift of the record that the deployment has written.
        {"record_sets": [OTHER], "recorded": OWN},
    ],
)
def test_accepted(changed: dict[str, Any]) -> None:
    assert problem(**changed) == ""


@pytest.mark.parametrize("key", OWN)
def test_another_record_of_the_deployment_is_not_this_one(key: str) -> None:
    assert problem(record_sets=[OTHER], recorded=OWN | {key: "other"})


def test_a_routing_policy_is_refused_also_where_the_record_is_own() -> None:
    assert "a routing policy" in problem(record_sets=[POLICY], recorded=OWN)


def test_is_a_filter() -> None:
    assert FilterModule().filters() == {"dns_problem": dns_problem}
