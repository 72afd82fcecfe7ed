# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A program on the machine is let be only where content, owner and mode are the role's."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, evaluated, load

PROGRAM = "bluegreen/slots.py"
GOOD = {
    "path": f"/opt/mlflow/libexec/{PROGRAM}",
    "checksum": hashlib.sha256((ROLES / "mlflow" / "files" / PROGRAM).read_bytes()).hexdigest(),
    "uid": 0,
    "gid": 0,
    "mode": "0644",
}


@pytest.mark.parametrize(
    ("change", "installed"),
    [
        ({}, False),
        ({"checksum": "0" * 64}, True),
        ({"uid": 1000}, True),
        ({"gid": 1000}, True),
        ({"mode": "0664"}, True),
        ({"path": "/opt/mlflow/libexec/slots.py"}, True),
    ],
    ids=str,
)
def test_installed_where_it_is_not_as_it_should_be(change: dict[str, Any], installed: bool) -> None:
    (task,) = [task for task in load("tasks/configure.yml", "mlflow") if task.get("loop") == "{{ __mlflow_programs }}"]
    settings = {
        "item": PROGRAM,
        "ansible_search_path": [str(ROLES / "mlflow")],
        "__mlflow_found": {"files": [GOOD | change]},
    }
    assert evaluated("{{ " + task["when"] + " }}", "mlflow", **settings) is installed
