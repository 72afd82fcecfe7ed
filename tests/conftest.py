# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are tests run beside all other tests, which wait more than they work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ansible.plugins.loader import init_plugin_loader

from tests.programs import REPOSITORY, Background, Program

# Before anything of the collection is imported: Ansible's loader does not go on with what Python's own has begun.
init_plugin_loader([str(REPOSITORY / "collections")])


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest) -> Iterator[Background]:
    """All programs that this session tests run here, beside the other tests."""
    parameters = [item.callspec.params if hasattr(item, "callspec") else {} for item in request.session.items]
    programs = [each["program"] for each in parameters if isinstance(each.get("program"), Program)]
    if any(program.kind == "molecule" for program in programs):
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # The environment as it is now: tests that run meanwhile may change theirs.
    made = Background(programs, dict(os.environ))
    # Two at a time where there is nothing else. Those with a deployment of their own wait for the local cloud.
    made.start("molecule", "lint", at_once=1 if len(programs) < len(parameters) else 2)
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what has this host's network for itself: from then on the local cloud has it."""
    items.sort(key=lambda item: item.get_closest_marker("engine") is None)


@pytest.fixture(scope="session")
def local_cloud(background: Background) -> None:
    """The local cloud is up; whoever started the tests decides whether it stays."""
    subprocess.run([sys.executable, "-m", "localcloud", "up"], cwd=REPOSITORY, check=True)
    background.start("own")


@pytest.fixture(autouse=True)
def _deployments_beside(request: pytest.FixtureRequest, background: Background) -> None:
    """Those with a deployment of their own run beside all other tests, not only beside those of the common one."""
    if background.waiting("own") and request.node.get_closest_marker("engine") is None:
        request.getfixturevalue("local_cloud")
