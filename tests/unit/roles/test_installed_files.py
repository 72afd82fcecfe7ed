# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A file on the VM is skipped only if its content, owner and mode match the role."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, evaluated, load

OWNED = {"uid": 0, "gid": 0, "mode": "0644", "isreg": True, "isdir": False}
DIRECTORY = OWNED | {"mode": "0755", "isreg": False, "isdir": True}
# A change to a correct file, and whether the task must run then.
CHANGES = pytest.mark.parametrize(
    ("change", "installed"),
    [
        ({}, False),
        ({"checksum": "0" * 64}, True),
        ({"uid": 1000}, True),
        ({"gid": 1000}, True),
        ({"mode": "0664"}, True),
        ({"path": "/opt/mlflow/libexec/slots.py"}, True),
        ({"isreg": False, "islnk": True}, True),
    ],
    ids=str,
)


@dataclass(frozen=True)
class Place:
    """A task file of a role that installs files after a search for existing ones."""

    role: str
    tasks: str
    settings: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        return load(f"tasks/{self.tasks}.yml", self.role)

    def task(self, name: str) -> Any:
        (found,) = [task for task in self.load() if task["name"] == name]
        return found

    def evaluated(self, text: str, **settings: Any) -> Any:
        path = str(ROLES / self.role)
        around = {"role_path": path, "ansible_search_path": [path], "ansible_check_mode": False}
        return evaluated(text, self.role, **around, **self.settings, **settings)

    def items(self, task: Any) -> list[str]:
        """Return the loop items of a task, or one empty item without a loop."""
        loop = task.get("loop", [""])
        items: list[str] = self.evaluated(loop) if isinstance(loop, str) else loop
        return items

    def runs(self, task: Any, found: dict[str, Any], **settings: Any) -> bool:
        """Return whether a task runs if the search found only this file."""
        conditions = task["when"] if isinstance(task["when"], list) else [task["when"]]
        settings[f"__{self.role}_found"] = {"files": [found]}
        return all(self.evaluated("{{ " + each + " }}", **settings) for each in conditions)


MLFLOW = Place(
    "mlflow",
    "configure",
    {
        "mlflow_artifacts_destination": "/srv/artifacts",
        "nginx_hostnames": ["mlflow.test"],
        "ansible_facts": {"processor_vcpus": 2},
    },
)
CREDENTIALS = Place("credentials", "secret_manager")
NGINX = Place(
    "nginx",
    "configure",
    {
        "nginx_hostnames": ["mlflow.test"],
        "ansible_facts": {"distribution": "Debian", "distribution_major_version": "13"},
        "__nginx_present": {"stdout_lines": []},
    },
)
PLACES = pytest.mark.parametrize("place", [MLFLOW, CREDENTIALS, NGINX], ids=lambda place: str(place.role))


@CHANGES
@pytest.mark.parametrize(
    ("place", "name", "program"),
    [
        (MLFLOW, "Install missing and changed programs", "bluegreen/slots.py"),
        (CREDENTIALS, "Install the fetch program", "fetch.py"),
    ],
)
def test_programs_are_installed_where_they_are_not_as_they_should_be(
    place: Place, name: str, program: str, change: dict[str, Any], installed: bool
) -> None:
    task = place.task(name)
    good = OWNED | {
        "path": place.evaluated(task["ansible.builtin.copy"]["dest"], item=program),
        "checksum": hashlib.sha256((ROLES / place.role / "files" / program).read_bytes()).hexdigest(),
    }
    assert place.runs(task, good | change, item=program) is installed


@CHANGES
@pytest.mark.parametrize(
    ("place", "name", "template"),
    [
        (MLFLOW, "Write the configuration of the server", "server.json"),
        (MLFLOW, "Write the configuration of the server", "unit.conf"),
        (MLFLOW, "Install the units", "mlflow@.service"),
        (MLFLOW, "Install the units", "mlflow-switch.service"),
        (MLFLOW, "Install the units", "mlflow.service"),
        (MLFLOW, "Declare the runtime directories", "tmpfiles.conf"),
        (CREDENTIALS, "Write the list of secrets", "credentials.json"),
        (CREDENTIALS, "Install the systemd unit", "mlflow-credentials.service"),
        (NGINX, "Install the site configuration", "mlflow.conf"),
        (NGINX, "Install the systemd drop-in that restarts nginx after a failure", "restart.conf"),
    ],
)
def test_templates_are_installed_if_they_differ(
    place: Place, name: str, template: str, change: dict[str, Any], installed: bool
) -> None:
    task = place.task(name)
    assert place.evaluated(task["ansible.builtin.template"]["src"], item=template) == f"{template}.j2"
    text = place.evaluated("{{ lookup('ansible.builtin.template', '" + template + ".j2') }}", item=template)
    good = OWNED | {
        "path": place.evaluated(task["ansible.builtin.template"]["dest"], item=template),
        "checksum": hashlib.sha256(text.encode()).hexdigest(),
    }
    assert place.runs(task, good | change, item=template) is installed


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({}, False),
        ({"uid": 1000}, True),
        ({"mode": "0775"}, True),
        ({"path": "/etc"}, True),
        ({"isdir": False, "islnk": True}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (CREDENTIALS, "Create the directory of the fetch program"),
        (NGINX, "Create the directory of the systemd drop-in"),
    ],
)
def test_directories_too(place: Place, name: str, change: dict[str, Any], made: bool) -> None:
    task = place.task(name)
    good = DIRECTORY | {"path": task["ansible.builtin.file"]["path"]}
    assert place.runs(task, good | change) is made


@PLACES
def test_every_installed_file_is_searched_for(place: Place) -> None:
    (look,) = [task["ansible.builtin.find"] for task in place.load() if "ansible.builtin.find" in task]
    patterns = look["patterns"]
    patterns = place.evaluated(patterns) if isinstance(patterns, str) else patterns
    written = [
        place.evaluated(task[module]["dest"], item=item)
        for task in place.load()
        for module in ("ansible.builtin.template", "ansible.builtin.copy")
        if module in task
        for item in place.items(task)
    ]
    directories = [
        task["ansible.builtin.file"]["path"]
        for task in place.load()
        if "ansible.builtin.file" in task and f"__{place.role}_good_files" in str(task.get("when"))
    ]
    assert written
    for path in map(Path, written + directories):
        (base,) = [base for base in look["paths"] if path.is_relative_to(base)]
        assert len(path.relative_to(base).parts) <= look["depth"]
        assert any(path.match(pattern) for pattern in patterns)
    assert look["recurse"]
    assert look["get_checksum"]
    assert look["checksum_algorithm"] == "sha256"
    assert look.get("file_type", "file") == ("any" if directories else "file")
