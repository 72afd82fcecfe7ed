# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""provision.yml and destroy.yml of a deployment with a name in a zone of another project."""

from __future__ import annotations

from tests.localcloud.harness import Session
from tests.localcloud.playbooks.playbook import Playbook
from tests.localcloud.playbooks.test_dns import ADDRESSES, extra, record, zone

__all__ = ["zone"]  # a fixture


def test_provision_and_destroy(zone: Session, playbook: Playbook) -> None:
    playbook.to_the_end("--check", "--diff", *extra())
    assert "+++ after: record set mlflow.example.test. of type A in managed zone example-test" in playbook.output
    assert record(zone) == []
    playbook.to_the_end(*extra())
    assert record(zone) == [zone.call("GET", f"{ADDRESSES}/mlflow-address")["address"]]
    data = {"infrastructure_destroy_confirm": "mlflow-local/mlflow", "infrastructure_destroy_data": True}
    playbook.to_the_end(*extra(**data), playbook="destroy")
    assert record(zone) == []
