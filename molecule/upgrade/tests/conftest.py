# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the scenario share: the machine, its databases full of rows, clients."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Machine, rows and load are shared with `make bench`.
sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.background import Target
from benchmarks.machine import Machine, Original, make_original

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
RUNS = 2000


@pytest.fixture(scope="session")
def machine() -> Machine:
    """The machine, over Docker."""
    return Machine("mlflow-molecule-upgrade")


@pytest.fixture(scope="session")
def target(machine: Machine) -> Target:
    """The server as clients reach it."""
    address = machine.run("hostname", "-I").split()[0]
    password = machine.run("cat", "/etc/credstore/mlflow.admin-password")
    return Target(f"https://{address}", EPHEMERAL / "ca.crt", password)


@pytest.fixture(scope="session")
def original(machine: Machine) -> Original:
    """The rows and artifacts of some 2,000 runs of MLflow 2.22."""
    return make_original(machine, RUNS)
