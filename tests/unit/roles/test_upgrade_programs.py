# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What roles run beside Ansible on the control host: the lock, the measurement, the window, the rehearsal."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"


def load(role: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{role}_{name}", ROLES / role / "files" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LOCK = load("infrastructure", "lock")
PROBE, REHEARSE = (load("upgrade", name) for name in ("probe", "rehearse"))
WINDOW = load("schedule", "window")


# The lock


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
        self.line = f"{ROLES / 'infrastructure' / 'files' / 'lock.py'} {lock} --purpose test\n"

    def take(self) -> tuple[int, dict[str, object]]:
        """Ask for the lock; exit code and what was printed."""
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
    assert first.take() == (0, mine)  # its own
    assert second.take() == (3, {"holder": mine})

    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    deadline = time.monotonic() + 10
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
def test_what_counts_as_ansible_playbook(words: str, is_one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOCK, "command_of", lambda _: words.split())
    assert LOCK.is_playbook(1) is is_one


# The measurement


def test_downtime_is_from_the_last_good_answer_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = PROBE.Gaps()
    for begin, end, problem in [
        (0.0, 0.1, ""),
        (1.0, 1.1, ""),
        (2.0, 2.1, "HTTP 503"),
        (3.0, 3.2, "HTTP 503"),
        (4.0, 4.5, ""),
        (5.0, 5.1, "ConnectionRefusedError"),
        (6.0, 6.1, ""),
    ]:
        gaps.answered(begin, end, problem)
    found = gaps.summary(7.0)
    assert found["gaps"] == [3.4, 1.6]
    assert found["downtime_seconds"] == 5.0
    assert found["failures"] == {"HTTP 503": 2, "ConnectionRefusedError": 1}
    assert (found["answers"], found["slowest_answer_seconds"], found["still_down"]) == (4, 0.5, False)


def test_a_server_that_stays_away_counts_until_the_end() -> None:
    gaps = PROBE.Gaps()
    gaps.answered(0.0, 0.1, "")
    gaps.answered(1.0, 1.1, "HTTP 503")
    assert gaps.summary(9.1)["downtime_seconds"] == 9.0
    assert gaps.summary(9.1)["still_down"] is True


def test_a_server_that_was_never_reached_is_not_measured() -> None:
    gaps = PROBE.Gaps()
    gaps.answered(0.0, 0.1, "TimeoutError")
    assert gaps.summary(5.0)["measured"] is False
    assert gaps.summary(5.0)["downtime_seconds"] == 0


def test_the_measurement_ends_with_the_stop_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = tmp_path / "stop"
    stop.touch()
    options = ["--address", "127.0.0.1", "--name", "x", "--stop-file", str(stop), "--while-process", "1"]
    assert PROBE.main(options) == 0
    assert json.loads(capsys.readouterr().out)["measured"] is False


# The window


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-analyze as Debian 13 prints, on a Sunday at 03:00 in Berlin; it is 04:30 there."""
    monkeypatch.setenv("TRIGGER_UNIT", "mlflow-upgrade-x.timer")
    monkeypatch.setattr(WINDOW.time, "time", lambda: 1795318200.0)

    def analyze(*arguments: str) -> str:
        if arguments[0] == "timespan":
            return f"Original: {arguments[1]}\n      μs: {int(arguments[1].rstrip('h')) * 3600 * 10**6}\n"
        base = int(arguments[1].removeprefix("--base-time=@"))
        elapse = "2026-11-22 02:00:00" if base < 1795312800 else "2026-11-29 02:00:00"
        local = "Normalized form: Sun *-*-* 03:00:00\n    Next elapse: Sun 2026-11-22 03:00:00 CET\n"
        return f"{local}       (in UTC): Sun {elapse} UTC\n"

    monkeypatch.setattr(WINDOW, "analyze", analyze)


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(("window", "code"), [("2h", 0), ("1h", 1)])
def test_a_start_after_the_window_is_refused(window: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert WINDOW.main(["--calendar", "Sun 03:00", "--jitter", "0h", "--window", window]) == code
    assert ("Refused" in capsys.readouterr().err) == bool(code)


@pytest.mark.usefixtures("planned")
def test_a_start_by_hand_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIGGER_UNIT")
    assert WINDOW.main(["--calendar", "Sun 03:00", "--jitter", "0h", "--window", "0h"]) == 0


# The rehearsal


def test_the_rehearsal_keeps_user_password_and_database() -> None:
    uri = "postgresql+psycopg2://mlflow:p%40ss%3A@10.1.2.3:5432/mlflow?sslmode=verify-ca"
    elsewhere = REHEARSE.elsewhere(uri, "10.9.9.9")
    assert elsewhere == "postgresql+psycopg2://mlflow:p%40ss%3A@10.9.9.9/mlflow?sslmode=verify-ca"
