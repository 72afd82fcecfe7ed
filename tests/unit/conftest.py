# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""No unit test waits, reaches a network, or sees the environment of the person who runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client
from google.auth import _regional_access_boundary_utils

from tests.unit.harness import Cloud, FakeClock, Play, scripted


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GOOGLE_", "GCP_", "CLOUDSDK_", "STORAGE_EMULATOR")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_background_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth's look-up of allowed locations would come from a thread, in the middle of the next test's script."""
    monkeypatch.setattr(_regional_access_boundary_utils._RegionalAccessBoundaryRefreshThread, "run", lambda _: None)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of every client made in the test."""
    fake = FakeClock()
    monkeypatch.setattr(_client, "Clock", lambda: fake)
    return fake


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Google, scripted."""
    with scripted() as script:
        yield Cloud(script)


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str]) -> Play:
    """Runs a module."""
    return Play(capsys)
