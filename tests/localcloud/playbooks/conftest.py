# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The project's playbooks against a local cloud in the test's own process, its project as empty as a new one."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import Door, Playbook


@pytest.fixture
def door() -> Door:
    """Open, until told otherwise."""
    return Door()


@pytest.fixture
def empty(tmp_path: pathlib.Path, door: Door) -> Iterator[Local]:
    """A local cloud behind the door, its project as empty as a new one: no API is enabled."""
    running = Local(tmp_path / "home", door=door)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def playbook(empty: Local, door: Door, tmp_path: pathlib.Path) -> Playbook:
    """The playbooks, against it."""
    return Playbook(empty, door, tmp_path)
