# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The lock of a deployment is held as long as the ansible-playbook process that took it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.roles.programs import ROLES, load

LOCK = load("deployment", "lock")


class Playbook:
    """A process that looks like ansible-playbook, whose tasks are its children."""

    def __init__(self, directory: Path, lock: Path) -> None:
        program = directory / "ansible-playbook"
        program.write_text(
            "import subprocess, sys\n"
            "for line in sys.stdin:\n"
            "    done = subprocess.run([sys.executable, *line.split()], capture_output=True, text=True)\n"
            "    print(done.returncode, done.stdout.strip() or done.stderr, flush=True)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.line = f"{ROLES / 'deployment' / 'files' / 'lock.py'} {lock} --purpose test\n"

    def take(self) -> tuple[int, dict[str, object]]:
        """Request the lock; return the exit code and the output."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(self.line)
        self.process.stdin.flush()
        code, _, printed = self.process.stdout.readline().partition(" ")
        return int(code), json.loads(printed)


@pytest.fixture
def playbooks(tmp_path: Path) -> Iterator[list[Playbook]]:
    made = [Playbook(tmp_path, tmp_path / "lock") for _ in range(2)]
    yield made
    for each in made:
        each.process.kill()
        each.process.wait()


def test_one_playbook_at_a_time(playbooks: list[Playbook], tmp_path: Path) -> None:
    first, second = playbooks
    code, mine = first.take()
    assert (code, mine["pid"], mine["purpose"]) == (0, first.process.pid, "test")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    assert first.take() == (0, mine)  # the process itself
    assert second.take() == (3, {"holder": mine})

    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    deadline = time.monotonic() + 10
    while (code := second.take()[0]) == 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert code == 0


def keeper_of(lock: Path) -> int:
    """Return the process that holds the lock on behalf of a playbook."""
    running = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    (found,) = (each for each in running if str(lock) in LOCK.command_of(each))
    return found


def test_it_is_kept_while_an_interrupted_playbook_unwinds(playbooks: list[Playbook], tmp_path: Path) -> None:
    """On a timeout systemd signals the whole unit, and ansible-playbook needs some time to end."""
    first, second = playbooks
    _code, mine = first.take()
    keeper = keeper_of(tmp_path / "lock")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(keeper, number)
    time.sleep(0.2)
    assert second.take() == (3, {"holder": mine})

    first.process.kill()
    first.process.wait()
    # The keeper empties the file before it ends, and the lock is free at its end.
    deadline = time.monotonic() + 10
    while (tmp_path / "lock").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    while (code := second.take()[0]) == 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert code == 0


def test_only_a_playbook_can_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOCK, "is_playbook", lambda _: False)
    assert LOCK.main([str(tmp_path / "lock")]) == 1
    assert not (tmp_path / "lock").exists()


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
    monkeypatch.setattr(LOCK, "command_of", lambda _: words.split())
    assert LOCK.is_playbook(1) is is_one
