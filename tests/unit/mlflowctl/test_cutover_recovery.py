# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of the recovery of an interrupted cutover, and of the start of a VM."""

from __future__ import annotations

from pathlib import Path

import pytest

from .traced_system import (
    JOB,
    NEW,
    OLD,
    SAME,
    STOP_BLUE,
    STOP_GREEN,
    TracedSystem,
    killed,
    make,
    path,
    result,
    without_unit_of_heads,
)


@pytest.fixture
def system(tmp_path: Path) -> TracedSystem:
    """Return a VM with 3.17.2 in the active slot blue."""
    return make(tmp_path)


@pytest.fixture
def killed_rollback(system: TracedSystem) -> TracedSystem:
    """Return a VM on which a rollback from 3.18.0 was killed before it restored the databases."""
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    system.ask("rollback", "rollback-1")
    killed(system, "journal restore: migration databases held")
    return system


def test_a_killed_rollback_is_completed(killed_rollback: TracedSystem) -> None:
    """The recovery uses the release of the slot, also if another release was selected after the kill."""
    system = killed_rollback
    system.want(path(SAME))
    system.switch().recover()
    assert without_unit_of_heads(system.trace()) == [
        "systemctl stop mlflow-schema.service",
        "journal back: migration databases held failed",
        "remove mlflow.sock",
        *STOP_GREEN,
        *STOP_BLUE,
        f"{JOB} 3.17.2 schema restore --auth-database mlflow_auth --keep-failed --id upgrade-1",
        "heads 3.17.2",
        "write active",
        "systemctl start mlflow@blue.service",
        "journal finish: migration databases moved committed held",
        "link mlflow.sock /run/mlflow-blue/mlflow.sock",
        "journal finish: migration databases moved committed",
        "write rolled_back.json",
        "remove previous.json",
        *STOP_GREEN,
        "journal end: migration databases moved committed",
        "write result.json",
        "remove journal.json",
    ]
    assert (result(system)["ok"], result(system)["migrated"], result(system)["moved"]) == (True, True, True)


def test_a_killed_rollback_without_kept_databases_is_undone(killed_rollback: TracedSystem) -> None:
    system = killed_rollback
    del system.databases["mlflow_before"]
    system.switch().recover()
    assert without_unit_of_heads(system.trace()) == [
        "systemctl stop mlflow-schema.service",
        "journal back: migration databases held failed",
        "remove mlflow.sock",
        *STOP_GREEN,
        *STOP_BLUE,
        f"{JOB} 3.17.2 schema restore --auth-database mlflow_auth --keep-failed --id upgrade-1",
        "heads 3.17.2",
        "journal back: migration held failed",
        "link current 3.18.0",
        "systemctl start mlflow@green.service",
        "link mlflow.sock /run/mlflow-green/mlflow.sock",
        "journal back: migration failed",
        *STOP_BLUE,
        "journal end: migration failed",
        "write result.json",
        "remove journal.json",
    ]
    assert (result(system)["step"], result(system)["cause"]) == ("restore", "the cutover was interrupted")


def test_a_killed_rollback_reports_that_the_server_does_not_start(killed_rollback: TracedSystem) -> None:
    system = killed_rollback
    system.broken.add(("start", path(OLD)))
    system.switch().recover()
    told = result(system)
    assert (told["ok"], told["moved"], told["step"], told["code"]) == (False, True, "start", 1)
    assert told["cause"] == "the databases are restored, but mlflow@blue.service did not start: it went wrong"


def test_a_committed_cutover_is_completed(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.ask("upgrade")
    killed(system, "journal finish: moved committed")
    system.power_cut()
    system.switch().recover()
    assert system.trace() == [
        "systemctl stop mlflow-schema.service",
        "link mlflow.sock /run/mlflow-green/mlflow.sock",
        "systemctl start --no-block mlflow@green.service",
        "write previous.json",
        *STOP_BLUE,
        "journal end: moved committed",
        "write result.json",
        "remove journal.json",
    ]
    assert result(system)["ok"]


@pytest.mark.parametrize("ran", [True, False])
def test_an_interrupted_cutover_starts_the_old_server_again(system: TracedSystem, ran: bool) -> None:
    """If the old server did not run before the cutover, the recovery does not wait for its start."""
    if not ran:
        system.running.clear()
    system.want(path(SAME))
    system.ask("reload")
    killed(system, "journal start:")
    system.power_cut()
    system.switch().recover()
    assert system.trace() == [
        "systemctl stop mlflow-schema.service",
        "journal back: failed",
        "link current 3.17.2",
        f"systemctl start {'' if ran else '--no-block '}mlflow@blue.service",
        *STOP_GREEN,
        "journal end: failed",
        "write result.json",
        "remove journal.json",
    ]
    assert (result(system)["step"], result(system)["code"]) == ("start", 1)


def test_the_first_cause_of_a_rollback_is_kept(system: TracedSystem, capsys: pytest.CaptureFixture[str]) -> None:
    system.want(path(SAME))
    system.broken.add(("smoke", path(SAME)))
    system.ask("upgrade")
    killed(system, "journal back: failed")
    capsys.readouterr()
    system.switch().recover()
    assert system.trace()[:2] == ["systemctl stop mlflow-schema.service", "link current 3.17.2"]
    assert (result(system)["step"], result(system)["cause"]) == ("check", "smoke: not ready")
    assert "Rolling back" not in capsys.readouterr().out


def test_a_request_that_was_interrupted_before_it_began(system: TracedSystem) -> None:
    system.want(path(NEW))
    system.ask("reload")
    system.switch().recover()
    assert result(system)["cause"] == "the cutover was interrupted before it began"
    assert system.switch().slots.wanted_release() == path(OLD)
    system.trace()
    system.switch().recover()
    system.switch().run()
    assert system.trace() == []


def test_the_request_of_an_interrupted_cutover_is_not_performed_again(system: TracedSystem) -> None:
    """The journal is written before the request is removed."""
    system.want(path(SAME))
    system.ask("reload")
    killed(system, "journal snapshot:")
    assert system.switch().journal.load("request")
    system.switch().recover()
    assert result(system)["cause"] == "the cutover was interrupted"
    assert system.switch().journal.load("request") is None


def test_a_later_request_survives_the_recovery(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.ask("reload")
    killed(system, "journal start:")
    system.ask("reload", "reload-2")
    system.switch().recover()
    assert (system.switch().journal.load("request") or {})["id"] == "reload-2"


def test_recovery_ends_an_orphaned_schema_job(system: TracedSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    killed(system, "journal migrate: migration databases held")
    system.switch().recover()
    assert system.trace()[0] == "systemctl stop mlflow-schema.service"
    assert (result(system)["cause"], result(system)["code"]) == ("the cutover was interrupted", 1)


def test_a_power_cut_during_a_cutover_starts_its_recovery(system: TracedSystem) -> None:
    for name in ("request", "journal"):
        system.ask("reload")
        if name == "journal":
            killed(system, "journal snapshot:")
        assert system.switch().journal.load(name)
        system.power_cut()
        system.trace()
        system.switch().start()
        assert system.trace() == ["systemctl start --no-block mlflow-switch.service"]


def test_a_new_vm_starts_the_first_slot(tmp_path: Path) -> None:
    system = TracedSystem(tmp_path)
    system.want(system.release(OLD, 1))
    system.switch().start()
    assert system.trace() == [
        "link release 3.17.2",
        "link program /opt/mlflow/programs/first",
        "write server.json",
        "write settings.conf",
        "systemctl daemon-reload",
        "write active",
        "systemctl start --no-block mlflow@blue.service",
    ]


def test_a_started_vm_starts_the_active_slot(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.ask("reload")
    system.switch().run()
    system.power_cut()
    system.trace()
    system.switch().start()
    assert system.trace() == ["systemctl start --no-block mlflow@green.service"]
