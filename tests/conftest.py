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

from tests import quicker
from tests.programs import REPOSITORY, Background, Program

# Before anything of the collection is imported: Ansible's loader does not go on with what Python's own has begun.
init_plugin_loader([str(REPOSITORY / "collections")])


def _program(item: pytest.Item) -> Program | None:
    """The program that this test is, if it is one."""
    program = item.callspec.params.get("program") if hasattr(item, "callspec") else None
    return program if isinstance(program, Program) else None


@pytest.fixture(scope="session", autouse=True)
def _quicker(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also for the programs that this session starts, pytest among them, which share it."""
    if quicker.FOLDER not in os.environ:
        os.environ.update(quicker.environment(tmp_path_factory.mktemp("quicker")))


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest, _quicker: None) -> Iterator[Background]:
    """All programs that this session tests run here, beside the other tests."""
    items = request.session.items
    programs = [program for program in map(_program, items) if program]
    if any(program.kind == "molecule" for program in programs):
        subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    # The environment as it is now: tests that run meanwhile may change theirs.
    made = Background(programs, dict(os.environ))
    # Those with a deployment of their own wait for the local cloud. Two rows of scenarios where there is nothing else.
    alone = len(programs) == len(items)
    made.start("lint", *(["molecule"] if alone else []), helps=False)
    made.start("molecule")
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs the network that the local cloud has afterwards, last what runs beside others."""

    def place(item: pytest.Item) -> int:
        return 0 if item.get_closest_marker("engine") else 2 if _program(item) else 1

    items.sort(key=place)


@pytest.fixture(scope="session")
def local_cloud(background: Background) -> None:
    """The local cloud is up; whoever started the tests decides whether it stays."""
    subprocess.run([sys.executable, "-m", "localcloud", "up"], cwd=REPOSITORY, check=True)
    background.start("own")


@pytest.fixture(autouse=True)
def _others_beside(request: pytest.FixtureRequest, background: Background) -> None:
    """What needs nothing of other tests runs beside all of them but the engine's."""
    if request.node.get_closest_marker("engine") is None:
        if background.waiting("own"):
            request.getfixturevalue("local_cloud")
        if background.waiting("playbooks"):
            # Done before the common deployment is under load, and helping nobody then.
            background.start("playbooks", helps=False)
