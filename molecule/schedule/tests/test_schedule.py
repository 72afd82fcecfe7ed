# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Test the timer on a control node: it fires, starts no second run, reports failures and can be removed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

MACHINE = "mlflow-molecule-schedule"
UNIT = "mlflow-upgrade-molecule"
CONFIGURATION = "/etc/mlflow-gcp/molecule"
SCENARIO = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def host() -> Host:
    """Return the control node, over Docker."""
    return testinfra.get_host(f"docker://{MACHINE}")


def converge(**environment: str) -> None:
    """Apply the role again, with other variables."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
    subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(SCENARIO / "converge.yml")],
        env=os.environ | environment,
        cwd=SCENARIO.parents[1],
        check=True,
    )


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)


def journal(host: Host) -> str:
    return host.check_output("journalctl -u %s.service --no-pager -o cat", UNIT)


def result(host: Host) -> str:
    return host.check_output("systemctl show -P Result %s.service", UNIT)


def idle(host: Host) -> bool:
    return host.run("systemctl show -P ActiveState %s.service", UNIT).stdout.strip() in {"inactive", "failed"}


@pytest.fixture
def clean(host: Host) -> Iterator[None]:
    """Assert that no run is active before and after the test."""
    host.check_output("rm -f /var/tmp/runs /var/tmp/finish /var/tmp/fail /var/tmp/failures")
    yield
    host.check_output("touch /var/tmp/finish")
    wait_for(lambda: idle(host))


def test_the_secrets_of_the_environment_are_the_users_own(host: Host) -> None:
    environment = host.file(f"{CONFIGURATION}/environment")
    assert (environment.mode, environment.user) == (0o600, "root")
    assert 'ODD="a \\"quoted\\" value, 100% $HOME \\\\ "' in environment.content_string


def test_the_timer_waits_for_its_time(host: Host) -> None:
    assert host.service(f"{UNIT}.timer").is_running
    assert host.service(f"{UNIT}.timer").is_enabled
    assert "Persistent=yes" in host.check_output("systemctl show %s.timer", UNIT)
    assert host.run("systemd-analyze verify %s.service %s.timer", UNIT, UNIT).stderr.strip() == ""


@pytest.mark.usefixtures("clean")
def test_the_timer_fires_and_starts_no_second_run(host: Host) -> None:
    """The end-to-end tests also start a manual run, which the lock of the deployment refuses."""
    converge(SCHEDULE_CALENDAR="*:*:0/10")
    try:
        wait_for(lambda: host.file("/var/tmp/runs").exists, 60)
        time.sleep(12)  # the next scheduled time passes while the first run works
        assert len(host.file("/var/tmp/runs").content_string.splitlines()) == 1
        assert host.file("/var/tmp/runs").content_string.rstrip("\n").endswith(' a "quoted" value, 100% $HOME \\ ')
    finally:
        converge()
    host.check_output("touch /var/tmp/finish")
    wait_for(lambda: idle(host))
    assert result(host) == "success"
    assert "PLAY RECAP" in journal(host)
    assert not host.file("/var/tmp/failures").exists


@pytest.mark.usefixtures("clean")
def test_a_failure_is_told(host: Host) -> None:
    host.check_output("touch /var/tmp/fail /var/tmp/finish")
    assert host.run("systemctl start %s.service", UNIT).rc != 0
    wait_for(lambda: host.file("/var/tmp/failures").exists)
    assert host.file("/var/tmp/failures").content_string == f"{UNIT}.service exit-code\n"
    assert "It was told to fail." in journal(host)


@pytest.mark.usefixtures("clean")
def test_a_start_that_comes_too_late_is_refused(host: Host) -> None:
    """Start late as a timer does. A manual start is allowed at any time, as in the tests above."""
    window = f"/usr/bin/python3 {CONFIGURATION}/window.py --jitter 1s"
    late = host.run(f"TRIGGER_UNIT=x.timer {window} --window 1min --calendar '*-01-01 03:00'")
    assert late.rc == 1
    assert (
        "Refused: the start is later than 1min (schedule_window) after the planned time of '*-01-01 03:00'"
        in late.stderr
    )
    assert host.run(f"TRIGGER_UNIT=x.timer {window} --window 1min --calendar '*:*:00'").rc == 0
    assert host.run(f"TRIGGER_UNIT=x.timer {window} --window 366d --calendar '*-01-01 03:00'").rc == 0
    assert host.run(f"{window} --window 1min --calendar '*-01-01 03:00'").rc == 0


@pytest.mark.usefixtures("clean")
def test_another_calendar_counts_from_when_it_came(host: Host) -> None:
    """A time of the new calendar that has passed is not made up for. Outside the window it would fail."""
    # The timer fired an hour ago. An earlier time would include the yearly time of the former calendar.
    fired = f"systemctl stop {UNIT}.timer && touch -d '1 hour ago' /var/lib/systemd/timers/stamp-{UNIT}.timer"
    host.check_output(f"{fired} && systemctl start {UNIT}.timer")
    calendar = host.check_output("date -d '5 minutes ago' '+*-*-* %H:%M:%S'")
    try:
        converge(SCHEDULE_CALENDAR=calendar)
        assert_waits_for_tomorrow(host)
        # A killed run leaves this state if it did not start the timer. Another run follows an hour later.
        host.check_output(fired)
        converge(SCHEDULE_CALENDAR=calendar)
        assert_waits_for_tomorrow(host)
    finally:
        converge()


def assert_waits_for_tomorrow(host: Host) -> None:
    # A timer fires within two seconds. A failure is reported a second later.
    time.sleep(10)
    assert not host.file("/var/tmp/failures").exists, journal(host)
    assert not host.file("/var/tmp/runs").exists
    assert idle(host)
    assert host.service(f"{UNIT}.timer").is_running
    elapses = host.check_output("systemctl show -P NextElapseUSecRealtime %s.timer", UNIT)
    left = int(host.check_output("date -d %s +%%s", elapses)) - int(host.check_output("date +%s"))
    assert 23 * 3600 < left < 24 * 3600, elapses


def test_all_of_it_can_be_removed(host: Host) -> None:
    converge(SCHEDULE_STATE="absent")
    assert host.check_output("systemctl list-unit-files --no-legend 'mlflow-upgrade-*' | wc -l") == "0"
    assert not host.file(CONFIGURATION).exists
    assert host.check_output("systemctl list-timers --all --no-legend 'mlflow-upgrade-*' | wc -l") == "0"
    # A second removal changes nothing.
    converge(SCHEDULE_STATE="absent")
