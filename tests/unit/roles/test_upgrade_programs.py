# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Programs of the roles upgrade and schedule: the measurement and the window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.roles.programs import load

PROBE = load("upgrade", "probe")
WINDOW = load("schedule", "window")


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
    """Fake the output of systemd-analyze on Debian 13, for Sunday 03:00 in Berlin. The time is 04:30 there."""
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
