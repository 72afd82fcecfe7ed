# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Molecule's scenarios, which run beside all other tests: they wait more than they work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.scenarios import REPOSITORY, run


@pytest.fixture(scope="session", autouse=True)
def scenarios(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[int]]]:
    """The exit codes of all scenarios that this session tests: one at a time beside other tests, else two."""
    parameters = [item.callspec.params if hasattr(item, "callspec") else {} for item in request.session.items]
    names = [str(each["scenario"]) for each in parameters if "scenario" in each]
    if names:
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # As it is now: tests that run meanwhile may change theirs.
    environment = dict(os.environ)
    pool = ThreadPoolExecutor(1 if len(names) < len(parameters) else 2)
    try:
        # The one that takes longest goes first.
        yield {name: pool.submit(run, name, environment) for name in sorted(names, key=lambda name: name != "upgrade")}
    finally:
        pool.shutdown(cancel_futures=True)
