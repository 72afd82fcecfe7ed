# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""One deployment for all these files; they are numbered in the order of its life.

Tests that change what others rely on have a deployment of their own, and a process: they are in own/.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import FIRST_RUN, REPO, Deployment

# Run by test_own.py, in the background; by hand: pytest tests/e2e/own.
collect_ignore = ["own"]

# A range of its own, so that a demo made by `make up` and the deployment under test live side by side.
SUBNETWORK_RANGE = "10.144.0.0/20"


# Not until the session ends: it is destroyed while programs in the background are still at work.
@pytest.fixture(scope="package")
def deployment(local_cloud: None) -> Iterator[Deployment]:
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(
        project=project,
        artifacts=REPO / "artifacts" / "e2e" / project,
        settings={
            "infrastructure_subnetwork_range": SUBNETWORK_RANGE,
            "infrastructure_database_deletion_protection": False,
        },
    )
    made.create_project()
    yield made
    made.playbook(
        "playbooks/destroy.yml",
        "-e",
        f"infrastructure_destroy_confirm={project}/mlflow",
        "-e",
        "infrastructure_destroy_data=true",
        log="destroy",
    )


@pytest.fixture(scope="package")
def site(deployment: Deployment) -> Deployment:
    """The deployment after one run of site.yml. That makes all secrets, so it says as much as it can of them."""
    deployment.playbook("site.yml", "-vvv", log=FIRST_RUN)
    return deployment


@pytest.fixture
def screenshots(deployment: Deployment) -> Path:
    folder = deployment.artifacts / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
