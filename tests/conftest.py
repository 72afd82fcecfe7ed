# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are tests run beside all other tests, which wait more than they work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.programs import REPOSITORY, Program


@pytest.fixture(scope="session", autouse=True)
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[Program, Future[int]]]:
    """The exit codes of all programs that this session tests: one at a time beside other tests, else two."""
    parameters = [item.callspec.params if hasattr(item, "callspec") else {} for item in request.session.items]
    programs = [each["program"] for each in parameters if isinstance(each.get("program"), Program)]
    if any(program.kind == "molecule" for program in programs):
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # As it is now: tests that run meanwhile may change theirs.
    environment = dict(os.environ)
    pool = ThreadPoolExecutor(1 if len(programs) < len(parameters) else 2)
    try:
        yield {program: pool.submit(program.run, environment) for program in programs}
    finally:
        pool.shutdown(cancel_futures=True)
