# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""All playbooks begin alike: describe the deployment, check the role variables, take the lock, select the VM.

tests/localcloud/playbooks runs some of them to show the effect of these steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = sorted((Path(__file__).resolve().parents[3] / "playbooks").glob("*.yml"))
VM = "mlflow_deployment"
# The control nodes have an inventory group, or a role adds the host.
HOSTS = {"localhost", VM, "mlflow_control_node", "{{ 'control' if groups['control'] | default([]) else 'localhost' }}"}
CHECKS = {"infrastructure:validate", "doctor:validate", "gc:validate", "rotate:validate", "upgrade:validate"}


def plays(path: Path) -> list[dict[str, Any]]:
    """Return the plays of a playbook. site.yml has none of its own."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [play for play in found if "ansible.builtin.import_playbook" not in play]


def steps(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """Yield "role:task file" for each role that the tasks call."""
    for task in tasks:
        role = task.get("ansible.builtin.import_role") or task.get("ansible.builtin.include_role")
        if role:
            yield f"{role['name'].removeprefix('mlops.mlflow_gcp.')}:{role.get('tasks_from', 'main')}"
        yield from steps(task.get("block", []))


OWN = [path for path in PLAYBOOKS if plays(path)]
ON_THE_VM = [path for path in OWN if any(play["hosts"] == VM for play in plays(path))]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_the_first_step_describes_the_deployment(path: Path) -> None:
    """This step refuses a missing project and mistyped role variables."""
    first = plays(path)[0]
    assert first["hosts"] == "localhost"
    assert next(steps(first["tasks"])) == "deployment:main"
    assert "pre_tasks" not in first
    assert "roles" not in first


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_no_play_has_hosts_of_other_deployments(path: Path) -> None:
    assert {play["hosts"] for play in plays(path)} - HOSTS == set()


@pytest.mark.parametrize("path", ON_THE_VM, ids=lambda path: path.stem)
def test_variables_are_checked_and_the_vm_is_selected_before_its_play(path: Path) -> None:
    found = list(steps(plays(path)[0]["tasks"]))
    (check,) = [index for index, step in enumerate(found) if step in CHECKS]
    assert check < found.index("deployment:inventory")
    if "deployment:lock" in found:
        assert check < found.index("deployment:lock") < found.index("deployment:inventory")
    assert set(found[:check]) <= {"deployment:main", "infrastructure:preflight"}
