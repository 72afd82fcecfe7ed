# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The condition of a block holds for each of its tasks, so no task of the block may change its result for the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
FILES = sorted(ROLES.glob("*/tasks/*.yml"))


def blocks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each block, also inside other blocks."""
    for task in tasks:
        if "block" in task:
            yield task
            yield from blocks(task["block"])


def names(task: dict[str, Any]) -> set[str]:
    """Return the variables that a task sets."""
    found = {task["register"]} if "register" in task else set()
    found |= set(task.get("ansible.builtin.set_fact") or {})
    for each in task.get("block", []):
        found |= names(each)
    return found


def changed(block: dict[str, Any]) -> set[str]:
    """Return the variables in the condition of a block that its tasks set, except for the last task."""
    condition = str(block.get("when", ""))
    found = {name for task in block["block"][:-1] for name in names(task)}
    return {name for name in found if re.search(rf"\b{name}\b", condition)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLES)))
def test_no_task_of_a_block_changes_the_condition_of_the_block(path: Path) -> None:
    found = [changed(block) for block in blocks(yaml.safe_load(path.read_text(encoding="utf-8")) or [])]
    assert [one for one in found if one] == []


def test_a_violation_is_found() -> None:
    """The SSH host keys were read but not stored: the task that stores them was skipped."""
    tasks = [{"register": "__keys"}, {"name": "store"}]
    assert changed({"when": "__keys.found is not defined", "block": tasks}) == {"__keys"}
    assert changed({"when": "x", "block": tasks}) == set()
