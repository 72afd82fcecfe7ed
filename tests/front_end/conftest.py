# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""One front end with OAuth2-Proxy for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.front_end.programs import REPOSITORY
from tests.front_end.site import Site, site


@pytest.fixture(scope="session")
def running_front_end() -> Iterator[Site]:
    with site("authentication_oauth2_proxy") as made, made.run_oauth2_proxy():
        yield made


@pytest.fixture
def front_end(running_front_end: Site) -> Site:
    """Return the front end. The stand-in for MLflow has received no request."""
    running_front_end.mlflow.requests.clear()
    return running_front_end


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the directory of the screenshots."""
    folder = REPOSITORY / "artifacts" / "front-end"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
