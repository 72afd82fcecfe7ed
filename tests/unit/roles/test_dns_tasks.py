# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the role dns. tests/localcloud/playbooks/test_dns.py runs its tasks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.roles.evaluated import described, load, render
from tests.unit.roles.validation import refusals

SETTINGS = {"deployment_hostname": "mlflow.example.com", "dns_managed_zone": "example-com", "dns_project": "dns-owner"}


def refused(tasks: str, **registered: Any) -> list[str]:
    """Return the messages of an entry point after these results of its modules."""
    known = {f"__dns_{name}": result for name, result in registered.items()}
    return refusals("dns", tasks=tasks, known=known | SETTINGS | {"mlflow_deployment": described(**SETTINGS)})


def test_an_api_that_this_account_cannot_enable() -> None:
    (said,) = refused("enable", enabled={"msg": "The account lacks the permission serviceusage.services.get."})
    assert said.startswith("Cloud DNS is not enabled in project dns-owner (dns_project) of managed zone example-com.")
    assert "The account lacks the permission serviceusage.services.get." in said
    assert said.endswith("gcloud services enable dns.googleapis.com --project=dns-owner")


def test_an_enabled_api() -> None:
    assert refused("enable", enabled={"resource": {"dns.googleapis.com": "ENABLED"}}) == []
    assert refused("enable", enabled={"skipped": True}) == []


def test_the_address_of_the_deployment_is_accepted() -> None:
    zone = {"name": "example-com", "dnsName": "example.com."}
    record_set = {"name": "mlflow.example.com.", "type": "A", "rrdatas": ["198.51.100.7"]}
    found = {"api_enabled": True, "zone": zone, "in_zone": True, "record_sets": [record_set]}
    assert refused("validate", name=found, address={"resource": {"address": "198.51.100.7"}}) == []
    # No address is reserved.
    (said,) = refused("validate", name=found, address={"resource": {"name": "mlflow-address"}})
    assert "type A" in said
    assert refused("validate", name=found | {"record_sets": []}, address={"skipped": True}) == []


def test_the_fact_has_the_zone() -> None:
    assert described(**SETTINGS)["dns"] == {"project": "dns-owner", "zone": "example-com"}
    assert described()["dns"] == {"project": "my-project", "zone": ""}


@pytest.mark.parametrize(
    ("recorded", "deleted", "reported"),
    [
        ({}, False, False),
        ({"name": "former.example.com.", "zone": "example-com", "project": "dns-owner"}, True, False),
        ({"name": "mlflow.example.com.", "zone": "example-old", "project": "dns-owner"}, False, True),
    ],
)
def test_the_record_of_a_former_zone_is_reported_and_not_deleted(
    recorded: dict[str, str], deleted: bool, reported: bool
) -> None:
    """Clients use it until the parent zone refers to the new zone."""
    fact = described(**SETTINGS)
    fact["state"]["records"] = {"dns": recorded} if recorded else {}
    block = load("tasks/record.yml", "dns")[1]
    variables = load("vars/main.yml", "dns") | block["vars"] | SETTINGS | {"mlflow_deployment": fact}
    delete, report = block["block"][:2]
    found = [Templar(DataLoader(), variables=variables).evaluate_conditional(task["when"]) for task in (delete, report)]
    assert found == [deleted, reported]
    if reported:
        said = render(report["ansible.builtin.debug"]["msg"], variables)
        assert said.endswith("delete mlflow.example.com. --type=A --zone=example-old --project=dns-owner")


def test_a_record_is_reported_if_the_address_is_gone() -> None:
    fact = described(**SETTINGS)
    fact["state"]["records"] = {"dns": {"name": "mlflow.example.com.", "zone": "example-com", "project": "dns-owner"}}
    (task,) = (each for each in load("tasks/destroy.yml", "dns") if "ansible.builtin.debug" in each)
    variables = load("vars/main.yml", "dns") | task["vars"] | {"mlflow_deployment": fact}
    for resource, reported in (({"name": "mlflow-address"}, True), ({"address": "198.51.100.7"}, False)):
        known = variables | {"__dns_address": {"resource": resource}}
        assert Templar(DataLoader(), variables=known).evaluate_conditional(task["when"]) is reported
    said = render(task["ansible.builtin.debug"]["msg"], variables)
    assert said.endswith("delete mlflow.example.com. --type=A --zone=example-com --project=dns-owner")
