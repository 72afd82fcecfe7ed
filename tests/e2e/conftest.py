# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Provide one deployment for the test files here. Each file works alone; the order of the files does not matter.

Tests that change shared resources have a separate deployment: see upgrade/.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import FIRST_RUN, REPO, Deployment, FirstRun

# A separate range, so that a demo of `make up` and the deployment under test can exist at the same time.
SUBNETWORK_RANGE = "10.144.0.0/20"

# By default, users may only read the objects of others.
EDIT = {"resource_type": "experiment", "resource_pattern": "*", "permission": "EDIT"}
EDITORS = {"name": "editors", "permissions": [EDIT]}


@pytest.fixture(scope="session")
def local_cloud() -> None:
    """Start the local cloud unless it is running. It stays up after the tests."""
    command = [sys.executable, "-m", "localcloud"]
    lock = REPO / ".cache" / "e2e.lock"
    lock.parent.mkdir(exist_ok=True)
    # `make test` starts this directory and upgrade/ at the same time.
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if subprocess.run([*command, "status"], cwd=REPO, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            subprocess.run([*command, "up"], cwd=REPO, check=True)


def empty_project() -> Deployment:
    """Return a deployment in a new project. The project is empty until a playbook runs."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(
        project=project,
        artifacts=REPO / "artifacts" / "e2e" / project,
        settings={
            "infrastructure_subnetwork_range": SUBNETWORK_RANGE,
            "infrastructure_database_deletion_protection": False,
            "mlflow_roles": [EDITORS],
            "mlflow_users": [{"name": "alice", "roles": ["editors"]}],
        },
    )
    made.create_project()
    return made


@pytest.fixture
def unbuilt(local_cloud: None) -> Deployment:
    """Return a deployment in an empty project of its own. The test must not create resources."""
    return empty_project()


@pytest.fixture(scope="package")
def deployment(local_cloud: None) -> Iterator[Deployment]:
    """Yield the common deployment, and destroy it after the tests."""
    made = empty_project()
    yield made
    made.playbook(
        "playbooks/destroy.yml",
        "-e",
        f"infrastructure_destroy_confirm={made.project}/mlflow",
        "-e",
        "infrastructure_destroy_data=true",
        log="destroy",
    )


@pytest.fixture(scope="package")
def first_run(deployment: Deployment) -> FirstRun:
    """Run site.yml with -vvv. This run creates all secrets."""
    output = deployment.playbook("site.yml", "-vvv", log=FIRST_RUN).stdout
    show = "systemctl show --property ActiveEnterTimestampMonotonic --value mlflow@blue mlflow@green"
    return FirstRun(output, deployment.ssh(show).split())


@pytest.fixture(scope="package")
def site(deployment: Deployment, first_run: FirstRun) -> Deployment:
    """Return the deployment after the first run of site.yml."""
    return deployment


@pytest.fixture
def screenshots(deployment: Deployment) -> Path:
    folder = deployment.artifacts / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
