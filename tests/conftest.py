# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Molecule's scenarios, which run beside the end-to-end tests: both wait more than they work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.scenarios import REPOSITORY, run

END_TO_END = REPOSITORY / "tests" / "e2e"


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[int]]]:
    """The exit codes of all scenarios that this session tests: one at a time beside the end-to-end tests, else two."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    scenarios = [str(each["scenario"]) for each in parameters if "scenario" in each]
    beside = any(item.path.is_relative_to(END_TO_END) for item in request.session.items)
    if scenarios:
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # As it is now: tests that run meanwhile may change theirs.
    environment = dict(os.environ)
    pool = ThreadPoolExecutor(1 if beside else 2)
    try:
        # The one that takes longest goes first.
        yield {
            name: pool.submit(run, name, environment) for name in sorted(scenarios, key=lambda name: name != "upgrade")
        }
    finally:
        pool.shutdown(cancel_futures=True)
