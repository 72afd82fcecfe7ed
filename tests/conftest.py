# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are tests run in parallel to all other tests, which mostly wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ansible.plugins.loader import init_plugin_loader

from tests import quicker
from tests.programs import REPOSITORY, Background, Program

# Before any import from the collection: Ansible's loader does not continue an import that Python's loader started.
init_plugin_loader([str(REPOSITORY / "collections")])


def _program(item: pytest.Item) -> Program | None:
    """Return the program that this test runs, or None."""
    program = item.callspec.params.get("program") if hasattr(item, "callspec") else None
    return program if isinstance(program, Program) else None


@pytest.fixture(scope="session", autouse=True)
def _quicker(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Share compiled modules with all programs that this session starts, including pytest."""
    if quicker.FOLDER not in os.environ:
        os.environ.update(quicker.environment(tmp_path_factory.mktemp("quicker")))


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest, _quicker: None) -> Iterator[Background]:
    """Yield the background that runs all programs of this session, in parallel to the other tests."""
    items = request.session.items
    programs = [program for program in map(_program, items) if program]
    if any(program.kind == "molecule" for program in programs):
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # A copy of the environment: tests may change theirs while programs run.
    made = Background(programs, dict(os.environ))
    # Tests with a deployment of their own start later, with the local cloud. Without other tests, use two threads for
    # scenarios.
    alone = len(programs) == len(items)
    made.start("lint", *(["molecule"] if alone else []), helps=False)
    made.start("molecule")
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with the mark `engine` first, since the local cloud needs the same network later, and programs last."""

    def place(item: pytest.Item) -> int:
        return 0 if item.get_closest_marker("engine") else 2 if _program(item) else 1

    items.sort(key=place)


@pytest.fixture(scope="session")
def local_cloud(background: Background) -> None:
    """Start the local cloud. It stays up after the tests."""
    subprocess.run([sys.executable, "-m", "localcloud", "up"], cwd=REPOSITORY, check=True)
    background.start("own")


@pytest.fixture(autouse=True)
def _others_beside(request: pytest.FixtureRequest, background: Background) -> None:
    """Start independent programs with the first test that is not an engine's test."""
    if request.node.get_closest_marker("engine") is None:
        if background.waiting("own"):
            request.getfixturevalue("local_cloud")
        if background.waiting("playbooks"):
            # Started now, before the common deployment causes load, and without programs of other kinds afterwards.
            background.start("playbooks", helps=False)
