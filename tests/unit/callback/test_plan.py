# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The callback plugin plan, in a real run of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.callback import plan

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Nothing new
      ansible.builtin.file: {path: %(folder)s, state: directory}
    - name: Two of three
      ansible.builtin.copy: {dest: "%(folder)s/{{ item }}", content: secret-content}
      loop: [one, two, old]
    - name: Hidden
      ansible.builtin.copy: {dest: "%(folder)s/three", content: secret-content}
      no_log: true
    - name: A failure that does not count
      ansible.builtin.command: {argv: ["false"]}
      ignore_errors: true
      check_mode: false
    - name: Wrong
      ansible.builtin.fail: {msg: this is wrong}
      when: %(wrong)s
"""


def run(folder: Path, *, wrong: bool = False) -> list[dict[str, Any]]:
    (folder / "old").write_text("secret-content")
    playbook = folder / "playbook.yml"
    playbook.write_text(PLAYBOOK % {"folder": folder, "wrong": str(wrong).lower()})
    done = subprocess.run(
        # An explicit inventory, because Ansible would run the programs in a directory that it uses as inventory.
        [sys.executable, "-m", "ansible", "playbook", "--inventory=/dev/null", "--check", "--diff", str(playbook)],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "mlops.mlflow_gcp.plan",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == (2 if wrong else 0), done.stdout + done.stderr
    assert "secret-content" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_changes_and_the_end_are_printed(tmp_path: Path) -> None:
    changed = run(tmp_path)
    assert [(entry["event"], entry.get("task")) for entry in changed] == [
        ("changed", "Two of three"),
        ("changed", "Two of three"),
        ("changed", "Hidden"),
        ("end", None),
    ]
    assert changed[0]["what"].endswith("/one")


def test_a_failure_is_printed(tmp_path: Path) -> None:
    assert run(tmp_path, wrong=True)[-2] == {"event": "failed", "task": "Wrong", "msg": "this is wrong"}


@pytest.mark.parametrize(
    ("diff", "what", "fields"),
    [
        (None, "", []),
        ([], "", []),
        ({"before": "a\n", "after": "b\n", "after_header": "/etc/file"}, "/etc/file", []),
        ({"before": {}, "after": {"a": 1}, "after_header": "network n"}, "network n", ["missing"]),
        (
            {
                "before": {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]},
                "after": {"a": 1, "b": {"c": 2, "d": 2}, "e": [1, 2]},
            },
            "",
            ["b.c", "e"],
        ),
    ],
)
def test_difference(diff: Any, what: str, fields: list[str]) -> None:
    assert plan.difference(diff) == (what, fields)
