# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures for a local cloud in the test's own process."""

from __future__ import annotations

import functools
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


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """Return the Docker engine's client. Only a missing engine is a reason to skip."""
    try:
        engine = docker.from_env(timeout=180)
        engine.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    if os.geteuid() != 0:
        pytest.skip("machines need root")
    return engine


@functools.cache
def few_keys() -> Iterator[rsa.RSAPrivateKey]:
    """Yield RSA keys that were created once, in rotation."""
    return itertools.cycle([rsa.generate_private_key(65537, 2048) for _ in range(3)])


@pytest.fixture(scope="module", autouse=True)
def _no_key_is_made() -> Iterator[None]:
    """Do not create RSA keys: this took most of the time of many tests."""
    keys = few_keys()

    def take(public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        assert (public_exponent, key_size) == (65537, 2048)
        return next(keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rsa, "generate_private_key", take)
        yield


@pytest.fixture
def local(tmp_path: pathlib.Path) -> Iterator[Local]:
    """Yield a fresh local cloud with the usual APIs enabled."""
    running = Local(tmp_path / "home")
    running.start()
    running.enable(*APIS)
    yield running
    running.stop()


@pytest.fixture
def owner(local: Local) -> Session:
    """Return a session as the project's owner."""
    return local.session()


@pytest.fixture
def call(owner: Session) -> Callable[..., Any]:
    """Return `call("GET", "/secretmanager/…", 200)` as the owner."""
    return owner.call
