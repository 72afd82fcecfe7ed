# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures around a local cloud that runs in the test's own process."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from docker.errors import DockerException

from tests.localcloud.harness import APIS, Local, Session

# Run by test_playbooks.py, in the background; by hand: pytest tests/localcloud/playbooks.
collect_ignore = ["playbooks"]


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The Docker engine. Only its absence is a reason to skip."""
    try:
        engine = docker.from_env(timeout=180)
        engine.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    if os.geteuid() != 0:
        pytest.skip("machines need root")
    return engine


@pytest.fixture(scope="session", autouse=True)
def few_keys() -> Iterator[None]:
    """RSA keys out of a few that were made once: making them was most of the work of many a test."""
    make = rsa.generate_private_key
    made = itertools.cycle([make(65537, 2048) for _ in range(3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rsa, "generate_private_key", lambda *_, **__: next(made))
        yield


@pytest.fixture
def local(tmp_path: pathlib.Path) -> Iterator[Local]:
    """A fresh local cloud with the usual APIs enabled."""
    running = Local(tmp_path / "home")
    running.start()
    running.enable(*APIS)
    yield running
    running.stop()


@pytest.fixture
def owner(local: Local) -> Session:
    """The project's owner."""
    return local.session()


@pytest.fixture
def call(owner: Session) -> Callable[..., Any]:
    """`call("GET", "/secretmanager/…", 200)` as the owner."""
    return owner.call
