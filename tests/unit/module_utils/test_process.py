# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _process
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._process import Run


@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("/usr/bin/python3 /opt/venv/bin/ansible-playbook site.yml", True),
        ("/usr/bin/python3 -sP /usr/bin/ansible-playbook site.yml", True),
        ("/opt/venv/bin/python -m ansible playbook site.yml", True),
        ("sudo ansible-playbook site.yml", True),
        ("/opt/venv/bin/python -m ansible inventory --list", False),
        ("/usr/bin/python3 -c pass ansible-playbook", False),
        ("vi ansible-playbook.log", False),
    ],
)
def test_processes_that_count_as_ansible_playbook(words: str, is_one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "command_of", lambda _: words.split())
    assert _process.is_playbook(1) is is_one


def test_the_run_is_the_first_process_above_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = {9: 8, 8: 5, 5: 4, 4: 1, 1: 0}
    monkeypatch.setattr(_process, "parent_of", lambda process: parents.get(process, 0))
    monkeypatch.setattr(_process, "is_playbook", lambda process: process in (4, 5))
    assert _process.find_playbook(9) == 4
    # In a container, ansible-playbook may be the first process.
    monkeypatch.setattr(_process, "is_playbook", lambda process: process == 1)
    assert _process.find_playbook(9) == 1
    monkeypatch.setattr(_process, "is_playbook", lambda _: False)
    assert _process.find_playbook(9) == 0


def test_a_run_has_ended_only_if_its_process_ran_here_and_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run = Run.of(process.pid)
        assert Run.parse(run.identity) == run
        assert not run.has_ended()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert run.has_ended()
    assert run.has_ended()
    assert not Run(run.pid, run.started, "another-boot/1").has_ended()
    assert Run(os.getpid(), "1", run.place).has_ended(), "the process has the ID of a former process"


@pytest.mark.parametrize("text", ["", "process 5", "boot/1:5", "boot/1:five@7"])
def test_an_unknown_identity_is_no_run(text: str) -> None:
    assert Run.parse(text) is None


def test_a_process_that_does_not_exist() -> None:
    assert (_process.command_of(2**30), _process.parent_of(2**30), _process.started(2**30)) == ([], 0, "")
