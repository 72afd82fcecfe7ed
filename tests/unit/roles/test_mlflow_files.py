# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A file on the machine is let be only where content, owner and mode are the role's."""

from __future__ import annotations

import hashlib
from pathlib import Path
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
CHANGES = pytest.mark.parametrize(
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
SETTINGS = {"mlflow_artifacts_destination": "/srv/artifacts", "nginx_hostnames": ["mlflow.test"]}


def tasks() -> Any:
    return load("tasks/configure.yml", "mlflow")


@CHANGES
def test_programs_are_installed_where_they_are_not_as_they_should_be(change: dict[str, Any], installed: bool) -> None:
    (task,) = [task for task in tasks() if task.get("loop") == "{{ __mlflow_programs }}"]
    settings = {
        "item": PROGRAM,
        "ansible_search_path": [str(ROLES / "mlflow")],
        "__mlflow_found": {"files": [GOOD | change]},
    }
    assert evaluated("{{ " + task["when"] + " }}", "mlflow", **settings) is installed


@CHANGES
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Write the server's settings", "server.json"),
        ("Write the server's settings", "unit.conf"),
        ("Install the units", "mlflow@.service"),
        ("Install the units", "mlflow-switch.service"),
        ("Install the units", "mlflow.service"),
        ("Say which directories there are in memory", "tmpfiles.conf"),
    ],
)
def test_what_is_made_of_templates_too(name: str, template: str, change: dict[str, Any], installed: bool) -> None:
    (task,) = [task for task in tasks() if task["name"] == name]
    settings = SETTINGS | {
        "item": template,
        "role_path": str(ROLES / "mlflow"),
        "ansible_search_path": [str(ROLES / "mlflow")],
        "ansible_facts": {"processor_vcpus": 2},
        "ansible_check_mode": False,
    }
    path = evaluated(task["ansible.builtin.template"]["dest"], "mlflow", **settings)
    text = evaluated("{{ lookup('ansible.builtin.template', '" + template + ".j2') }}", "mlflow", **settings)
    found = GOOD | {"path": path, "checksum": hashlib.sha256(text.encode()).hexdigest()} | change
    settings["__mlflow_found"] = {"files": [found]}
    conditions = task["when"] if isinstance(task["when"], list) else [task["when"]]
    assert all(evaluated("{{ " + each + " }}", "mlflow", **settings) for each in conditions) is installed


def test_every_one_of_them_is_looked_for() -> None:
    look = tasks()[0]["ansible.builtin.find"]
    written = [
        (task, item) for task in tasks() for item in task.get("loop", [""]) if "ansible.builtin.template" in task
    ]
    assert written
    for task, item in written:
        path = Path(task["ansible.builtin.template"]["dest"].replace("{{ item }}", item))
        assert str(path.parent) in look["paths"]
        assert any(path.match(pattern) for pattern in look["patterns"])
