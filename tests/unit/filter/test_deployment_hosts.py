# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The filter deployment_hosts identifies the VM of a deployment by project, zone and name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.deployment_hosts import FilterModule, deployment_hosts

LINK = "https://www.googleapis.com/compute/v1/projects/{}/zones/{}/instances/{}"


def vm(project: str, zone: str, name: str) -> dict[str, str]:
    return {"selfLink": LINK.format(project, zone, name), "project": project, "zone": zone, "instance_name": name}


HOSTS: dict[str, dict[str, Any]] = {
    "mlflow-server": vm("p", "z", "mlflow-server"),
    "blue-server": vm("p", "z", "blue-server"),
    "mlflow-server.q": vm("q", "z", "mlflow-server"),
    "green-server": vm("q", "z", "green-server"),
    "elsewhere": vm("p", "y", "mlflow-server"),
    "static-server": {"ansible_host": "192.0.2.1"},
    "unlinked": {"project": "p", "zone": "z", "instance_name": "red-server"},
    "composed": {"selfLink": LINK.format("example.com:p", "z", "sub-server"), "project": "x", "zone": "y"},
}


@pytest.mark.parametrize(
    ("project", "zone", "name", "found"),
    [
        ("p", "z", "mlflow-server", ["mlflow-server"]),
        ("p", "y", "mlflow-server", ["elsewhere"]),
        ("p", "z", "blue-server", ["blue-server"]),
        ("q", "z", "mlflow-server", ["mlflow-server.q"]),
        ("p", "z", "green-server", []),
        ("p", "x", "mlflow-server", []),
        ("p", "z", "static-server", ["static-server"]),
        ("p", "z", "red-server", ["unlinked"]),
        ("p", "z", "unlinked", []),
        ("example.com:p", "z", "sub-server", ["composed"]),
        ("", "z", "mlflow-server", []),
    ],
)
def test_finds_the_vm_by_any_host_name(project: str, zone: str, name: str, found: list[str]) -> None:
    assert deployment_hosts(HOSTS, HOSTS, project=project, zone=zone, vm=name) == found


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"deployment_hosts": deployment_hosts}
