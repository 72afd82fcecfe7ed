# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The callback plugin plan and scripts/plan.py, in real runs of Ansible."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Keep the directory
      ansible.builtin.file: {path: %(folder)s, state: directory}
    - name: Fail without effect
      ansible.builtin.command: {argv: ["false"]}
      ignore_errors: true
      check_mode: false
    - name: Write the files
      ansible.builtin.copy: {dest: "%(folder)s/{{ item }}", content: secret-content}
      loop: [new, changed, same]
      when: %(changes)s
    - name: Write a hidden file
      ansible.builtin.copy: {dest: "%(folder)s/hidden", content: secret-content}
      no_log: true
      when: %(changes)s
    - name: Fail
      ansible.builtin.fail: {msg: this is wrong}
      when: %(fails)s
"""


@pytest.mark.parametrize(
    ("changes", "fails", "code"), [(False, False, 0), (True, False, 2), (True, True, 1)], ids=["none", "some", "error"]
)
def test_a_run_ends_with_its_plan(tmp_path: Path, changes: bool, fails: bool, code: int) -> None:
    (tmp_path / "same").write_text("secret-content")
    (tmp_path / "changed").write_text("former content")
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK % {"folder": tmp_path, "changes": changes, "fails": fails})
    done = subprocess.run(
        # An explicit inventory, because Ansible would run the programs in a directory that it uses as inventory.
        [sys.executable, str(ROOT / "scripts" / "plan.py"), str(playbook), "--inventory=/dev/null"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    plan = lines[next(index for index, line in enumerate(lines) if line.startswith("Plan: ")) :]
    assert plan == [
        f"Plan: {1 if changes else 0} to create, {2 if changes else 0} to change, 0 to delete",
        *([f"  create file {tmp_path}/new", f"  change file {tmp_path}/changed"] if changes else []),
        *(['  change task "Write a hidden file"'] if changes else []),
        *(["  The plan is incomplete. Failed: Fail: this is wrong"] if fails else []),
    ]
    assert not (tmp_path / "new").exists()
