# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A module is packed and compiled once. No other test would fail without this; the tests would only be slower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests import quicker


def ping(folder: Path, environment: dict[str, str]) -> None:
    """Run a playbook of one module."""
    task = {"ansible.builtin.ping": {}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    (folder / "play.yml").write_text(json.dumps([play]))
    python = f"ansible_python_interpreter={sys.executable}"
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", python, "play.yml"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")} | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def kept(folder: Path) -> dict[str, int]:
    """Return the modification time of each file."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.glob("*/*")
        if path.suffix != ".lock"  # created by a reader
    }


def test_a_module_is_packed_and_compiled_once(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    environment = quicker.environment(folder)
    ping(tmp_path, environment)
    first = kept(folder)
    assert [name for name in first if name.startswith("packed/ansible.modules.ping-")]
    assert len([name for name in first if name.startswith("compiled/")]) > 20
    ping(tmp_path, environment)
    assert kept(folder) == first
