# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Isolate unit tests from time, from the network and from the user's environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client, _mlflow_client
from google.auth import _regional_access_boundary_utils

from tests.unit.harness import Cloud, FakeClock, Play, scripted
from tests.unit.mlflow_server import MlflowScript, PlayMlflow


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GOOGLE_", "GCP_", "CLOUDSDK_", "STORAGE_EMULATOR", "MLFLOW_TRACKING_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_background_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable google-auth's lookup of allowed locations. Its thread would send requests during the next test."""
    monkeypatch.setattr(_regional_access_boundary_utils._RegionalAccessBoundaryRefreshThread, "run", lambda _: None)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Return the clock of every client in the test."""
    fake = FakeClock()
    monkeypatch.setattr(_client, "Clock", lambda: fake)
    monkeypatch.setattr(_mlflow_client, "Clock", lambda: fake)
    return fake


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Return a scripted Google."""
    with scripted() as script:
        yield Cloud(script)


@pytest.fixture
def mlflow() -> Iterator[MlflowScript]:
    """Return a scripted MLflow server."""
    with scripted() as script:
        yield MlflowScript(script)


@pytest.fixture
def play_mlflow(play: Play) -> PlayMlflow:
    """Return a function that runs a module for the scripted MLflow server."""
    return PlayMlflow(play)


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str]) -> Play:
    """Return a function that runs a module."""
    return Play(capsys)
