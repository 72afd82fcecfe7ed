# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Provide one deployment for all these files. Their numbers follow the life of the deployment.

Tests that change shared resources have a separate deployment and process: see own/.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import FIRST_RUN, REPO, Deployment

# test_own.py runs these tests in the background. To run them by hand: pytest tests/e2e/own.
collect_ignore = ["own"]

# A separate range, so that a demo of `make up` and the deployment under test can exist at the same time.
SUBNETWORK_RANGE = "10.144.0.0/20"


# Destroy the deployment at the end of the session, while programs in the background still run.
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
    """Return the deployment after one run of site.yml with -vvv. This run creates all secrets."""
    deployment.playbook("site.yml", "-vvv", log=FIRST_RUN)
    return deployment


@pytest.fixture
def screenshots(deployment: Deployment) -> Path:
    folder = deployment.artifacts / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
