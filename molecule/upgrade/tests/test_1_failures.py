# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Each failure on the VM ends with the old version and the old data.

The failure of a full disk during the build is in side_effect.yml. Failures of the control node and of the cloud are in
tests/e2e.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.support.background import Target
from tests.support.machine import CUTOVER, PROGRAM, Machine, Original
from tests.support.planted import crash

OLD, NEW = "2.22.5", "3.17.2"

# A trigger of a superuser: the 40th change of the schema fails.
EVENT_TRIGGER = """
CREATE SCHEMA injected;
CREATE SEQUENCE injected.seen;
CREATE FUNCTION injected.fail() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF nextval('injected.seen') >= 40 THEN RAISE EXCEPTION 'injected: this change fails'; END IF;
END $$;
CREATE EVENT TRIGGER injected ON ddl_command_start EXECUTE FUNCTION injected.fail();
"""

# The smoke test stores an artifact of a run. The readiness check does not.
BROKEN_ARTIFACTS = """
import os

def broken(function):
    def replacement(source, target, *arguments, **options):
        if str(target).startswith("/srv/mlflow-artifacts/") and "/artifacts/" in str(target).removeprefix("/srv/"):
            raise OSError(5, "injected: input/output error")
        return function(source, target, *arguments, **options)
    return replacement

os.replace, os.rename, os.link = broken(os.replace), broken(os.rename), broken(os.link)
"""

# The migration starts and does not end.
HANG = """
import sys, time

if "migrate" in sys.orig_argv:
    time.sleep(3600)
"""


def signed_in(target: Target, path: str, **options: object) -> requests.Response:
    """Send a request as the administrator."""
    method = "POST" if "json" in options else "GET"
    return requests.request(
        method,
        target.url + path,
        auth=(target.username, target.password),
        verify=str(target.ca),
        timeout=30,
        **options,  # type: ignore[arg-type]
    )


def version(target: Target) -> str:
    """Return the version of the active server."""
    answer = signed_in(target, "/version")
    return answer.text if answer.status_code == 200 else f"HTTP {answer.status_code}"


@contextmanager
def ends_as_before(machine: Machine, target: Target, original: Original) -> Iterator[None]:
    """Assert that the old version is active, temporary objects are removed and the data is unchanged."""
    assert version(target) == OLD
    before = machine.databases() - {"mlflow_failed", "mlflow_auth_failed"}
    yield
    assert version(target) == OLD
    status = machine.status()
    assert (status["phase"], status["held"]) == ("idle", False)
    assert status["slots"][status["active"]]["version"] == OLD
    assert status["wanted"]["version"] == OLD
    assert [slot["running"] for name, slot in status["slots"].items() if name != status["active"]] == [False]
    assert machine.databases() - {"mlflow_failed", "mlflow_auth_failed"} == before
    assert original.changed() == {}
    machine.run(PROGRAM, "ready", "--artifacts", "--timeout", "10")


@pytest.fixture(autouse=True)
def _as_before(machine: Machine, target: Target, original: Original) -> Iterator[None]:
    with ends_as_before(machine, target, original):
        yield


def test_migration_fails(machine: Machine) -> None:
    machine.sql("mlflow", EVENT_TRIGGER)
    try:
        result = machine.upgrade(NEW)
    finally:
        machine.sql("mlflow", "DROP EVENT TRIGGER injected; DROP SCHEMA injected CASCADE;")
    assert (result["ok"], result["step"], result["moved"]) == (False, "migrate", False)
    assert "injected: this change fails" in result["cause"]


def test_smoke_test_fails(machine: Machine) -> None:
    with machine.planted(NEW, BROKEN_ARTIFACTS):
        result = machine.upgrade(NEW)
    assert (result["ok"], result["step"], result["moved"]) == (False, "check", False)
    assert "smoke test failed" in result["cause"]


def test_migration_that_does_not_end(machine: Machine) -> None:
    """The VM itself ends the migration."""
    with machine.planted(NEW, HANG):
        result = machine.wait("done", machine.ask(NEW, "--timeout", "60", "--approval-timeout", "60"))
    assert (result["ok"], result["step"], result["code"]) == (False, "migrate", 1)
    assert "the 60 s that an upgrade may take (upgrade_timeout_seconds)" in result["cause"]


def test_approval_is_missing(machine: Machine) -> None:
    """The control node was killed and cannot send an approval."""
    result = machine.wait("done", machine.ask(NEW, "--approval-timeout", "2", "--watch", "3"))
    assert (result["ok"], result["step"], result["moved"]) == (False, "ready", False)
    assert "no approval from the control node" in result["cause"]


def test_new_version_crashes_after_it_got_the_traffic(machine: Machine, target: Target) -> None:
    """Rows that the new version accepted are kept in the databases NAME_failed."""
    # The crash comes late enough for a client to write a row.
    with machine.planted(NEW, crash(after=30)):
        name = machine.ask(NEW, "--approval-timeout", "60", "--watch", "60")
        assert machine.wait("ready", name)["step"] == "ready"
        machine.run(*CUTOVER, "approve")
        deadline = time.monotonic() + 20
        while version(target) != NEW:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = signed_in(target, "/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "run_name": "accepted"})
        assert answer.status_code == 200
        result = machine.wait("done", name)
    assert (result["ok"], result["step"], result["moved"], result["kept_failed"]) == (False, "watch", True, True)
    assert "crashed" in result["cause"]
    assert machine.sql("mlflow_failed", "SELECT count(*) FROM runs WHERE name = 'accepted';") == "1"
    assert machine.status()["rolled_back"]["version"] == NEW


# One step before the cutover and one after it. Unit tests of the state machine kill it at every action.
@pytest.mark.parametrize("step", ["migrate", "watch"])
def test_switch_is_killed(machine: Machine, step: str) -> None:
    """Kill all processes of the job with SIGKILL."""
    name = machine.ask(NEW, "--approval-timeout", "60", "--watch", "30")
    if step == "watch":
        assert machine.wait("ready", name)["step"] == "ready"
        machine.run(*CUTOVER, "approve")
    machine.at_step(step, "systemctl kill --kill-whom=all --signal=SIGKILL mlflow-switch.service")
    result = machine.wait("done", name)
    assert (result["ok"], result["step"], result["moved"]) == (False, step, step == "watch")


def test_power_cut(machine: Machine) -> None:
    """Cut the power during the migration. After the boot the old version is active."""
    name = machine.ask(NEW, "--approval-timeout", "60")
    machine.at_step("migrate", "sleep 0.5")
    machine.power_cut()
    result = machine.wait("done", name)
    assert (result["ok"], result["step"]) == (False, "migrate")
    machine.run(PROGRAM, "ready", "--timeout", "60")
