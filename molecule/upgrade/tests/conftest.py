# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario: the container, its data, clients."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# `make bench` uses the same modules.
sys.path.append(str(Path(__file__).parents[3]))

from tests.support.background import Target
from tests.support.machine import Machine, Original, make_original

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
RUNS = 2000


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Return the container, reached through Docker."""
    return Machine("mlflow-molecule-upgrade")


@pytest.fixture(scope="session")
def target(machine: Machine) -> Target:
    """Return the server at its public address."""
    address = machine.run("hostname", "-I").split()[0]
    password = machine.run("cat", "/etc/credstore/mlflow.admin-password")
    return Target(f"https://{address}", EPHEMERAL / "ca.crt", password)


@pytest.fixture(scope="session")
def original(machine: Machine) -> Original:
    """Create the rows and artifacts of 2,000 runs of MLflow 2.22."""
    return make_original(machine, RUNS)
