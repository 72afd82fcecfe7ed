# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The project's playbooks against a local cloud in the test's own process, in a new, empty project."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import Door, Playbook


@pytest.fixture
def door() -> Door:
    """Return an interceptor that does not kill the run yet."""
    return Door()


@pytest.fixture
def empty(tmp_path: pathlib.Path, door: Door) -> Iterator[Local]:
    """Yield a local cloud with an interceptor and an empty project: no API is enabled."""
    running = Local(tmp_path / "home", door=door)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def playbook(empty: Local, door: Door, tmp_path: pathlib.Path) -> Playbook:
    """Return the playbooks, run against the empty project."""
    return Playbook(empty, door, tmp_path)
