# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Automatic updates hold apt's locks for minutes on a fresh VM. The apt tasks failed after 60 seconds.

The molecule scenario `default` holds the real locks for longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, evaluated, load

APT = ("ansible.builtin.apt", "ansible.builtin.package", "apt", "package")
HELD = "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 4711 (apt-get)"


def tasks_in(tasks: Any) -> Iterator[dict[str, Any]]:
    """Return every task of a file, including tasks in blocks."""
    for task in tasks if isinstance(tasks, list) else []:
        yield task
        for section in ("block", "rescue", "always"):
            yield from tasks_in(task.get(section))


FILES = sorted(path for kind in ("tasks", "handlers") for path in ROLES.glob(f"*/{kind}/*.yml"))
TASKS = [
    pytest.param(task, id=f"{path.relative_to(ROLES)}: {task.get('name')}")
    for path in FILES
    for task in tasks_in(load(str(path.relative_to(path.parents[1])), path.parents[1].name))
    if any(name in task for name in APT)
]


def test_there_are_apt_tasks() -> None:
    assert TASKS


@pytest.mark.parametrize("task", TASKS)
def test_apt_tasks_wait_ten_minutes_for_every_lock(task: dict[str, Any]) -> None:
    """The module waits for dpkg's lock and for the lists' lock. apt does not wait for the archive's lock."""
    assert task["ansible.builtin.apt"]["lock_timeout"] >= 600
    assert task["retries"] * task["delay"] >= 600

    def ends(**result: Any) -> bool:
        registered = {task["register"]: {"changed": False, **result}}
        return bool(evaluated("{{ " + task["until"] + " }}", "mlflow", **registered))

    assert not ends(failed=True, msg=f"'/usr/bin/apt-get -y install nginx' failed: {HELD}")
    assert ends(failed=True, msg="No package matching 'nginx' is available")
    assert ends(failed=True)
    assert ends()
