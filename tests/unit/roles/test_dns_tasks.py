# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the role dns. tests/localcloud/playbooks/test_dns.py runs its tasks."""

from __future__ import annotations

from typing import Any

from tests.unit.roles.evaluated import described
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
