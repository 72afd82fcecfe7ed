# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Expressions in the tasks of the role doctor, evaluated by Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template

from tests.unit.roles.evaluated import render

ROLE = Path(__file__).resolve().parents[3] / "roles" / "doctor"


def task(file: str, name: str) -> dict[str, Any]:
    tasks = yaml.safe_load((ROLE / "tasks" / file).read_text(encoding="utf-8"))
    (found,) = [each for each in tasks if each["name"] == name]
    return dict(found)


def evaluated(text: str, **variables: Any) -> Any:
    return render(trust_as_template(text), variables)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("Record the start time of the request", "__doctor_asked_at"),
        ("Record the end time of the request", "__doctor_answered_at"),
    ],
)
def test_the_time_of_the_control_node_is_correct_in_any_time_zone(name: str, fact: str) -> None:
    expression = task("collect_facts.yml", name)["ansible.builtin.set_fact"][fact]
    assert float(evaluated(expression)) == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(
    ("path", "taken"),
    [("", True), ("/tmp/doctor.json", True), ("~/doctor.json", True), ("doctor.json", False), ("./doctor.json", False)],
)
def test_a_path_is_absolute(path: str, taken: bool) -> None:
    """A relative path would be relative to the playbook, not to the directory of the user."""
    check = task("validate.yml", "Assert that the paths are absolute")
    for entry in check["loop"]:
        item = {"name": entry["name"], "value": path, "example": entry["example"]}
        assert evaluated("{{ " + check["ansible.builtin.assert"]["that"] + " }}", item=item) is taken
        assert f"{entry['name']} is {path}" in evaluated(check["ansible.builtin.assert"]["fail_msg"], item=item)


def test_a_plan_that_exceeds_its_timeout_is_a_check_result(tmp_path: Path) -> None:
    """Run the tasks in a role beside a playbook that does not end in time."""
    tasks = (ROLE / "tasks" / "plan.yml").read_text(encoding="utf-8")
    assert tasks.count("timeout: 600") == 1
    show = "\n- name: Show\n  ansible.builtin.copy:\n    content: '{{ __doctor_plan | to_json }}'\n"
    show += f"    dest: {tmp_path}/plan.json\n    mode: '0644'\n"
    # A lookup, because check mode would skip a command.
    asleep = {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.pipe', 'sleep 20') }}"}}
    sleep = {"hosts": "localhost", "gather_facts": False, "tasks": [asleep]}
    role = {"hosts": "localhost", "gather_facts": False, "roles": ["doctor"]}
    files = {
        "roles/doctor/tasks/main.yml": tasks.replace("timeout: 600", "timeout: 1") + show,
        "playbooks/provision.yml": yaml.safe_dump([sleep]),
        "play.yml": yaml.safe_dump([role]),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "play.yml", "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROLE.parents[1] / "ansible.cfg"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert "rc" not in plan
    assert "Timed out after 1 second" in plan["msg"]
