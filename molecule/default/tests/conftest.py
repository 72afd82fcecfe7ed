# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario: the VM, its secrets and clients."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import testinfra
from mlflow_server import Server, Status
from testinfra.host import Host

MACHINE = "mlflow-molecule-default"
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="session")
def host() -> Host:
    """The VM, reached with Docker."""
    return testinfra.get_host(f"docker://{MACHINE}")


@pytest.fixture(scope="session")
def secrets(host: Host) -> dict[str, str]:
    """The values of the secrets on the VM."""
    names = host.check_output("ls /etc/credstore").split()
    return {name: host.check_output("cat /etc/credstore/%s", name) for name in names}


@pytest.fixture(scope="session")
def server(host: Host, secrets: dict[str, str]) -> Server:
    """The server, with the CA certificate that the role saved on the control node."""
    address = host.check_output("hostname -I").split()[0]
    return Server(address=address, ca=EPHEMERAL / "ca.crt", password=secrets["mlflow.admin-password"])


@pytest.fixture(scope="session")
def status(host: Host) -> Status:
    """Return a function that reads the status of the slots."""

    def ask() -> dict[str, Any]:
        document: dict[str, Any] = json.loads(host.check_output("/usr/local/bin/mlflowctl status"))
        return document

    return ask


@pytest.fixture
def unit(status: Status) -> str:
    """The unit of the active slot."""
    return f"mlflow@{status()['active']}"
