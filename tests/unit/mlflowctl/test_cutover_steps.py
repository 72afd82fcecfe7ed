# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of a cutover in order, with the journal before each of them, and its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .traced_system import (
    JOB,
    NEW,
    OLD,
    SAME,
    STOP_BLUE,
    STOP_GREEN,
    TracedSystem,
    described,
    make,
    path,
    result,
    without_unit_of_heads,
)


@pytest.fixture
def system(tmp_path: Path) -> TracedSystem:
    """Return a VM with 3.17.2 in the active slot blue."""
    return make(tmp_path)


MIGRATION = [
    "write request.json",
    "journal snapshot:",
    "remove request.json",
    *STOP_GREEN,
    "link release 3.18.0",
    "link program /opt/mlflow/programs/first",
    "write server.json",
    "write settings.conf",
    "systemctl daemon-reload",
    "journal compare:",
    "heads 3.18.0",
    "journal hold: migration held",
    "remove mlflow.sock",
    "journal drain: migration held",
    "journal stop: migration held",
    *STOP_BLUE,
    "journal copy: migration databases held",
    f"{JOB} 3.17.2 schema copy --auth-database mlflow_auth --id upgrade-1",
    "journal migrate: migration databases held",
    f"{JOB} 3.18.0 schema migrate --auth-database mlflow_auth",
    "journal start: migration databases held",
    "systemctl start mlflow@green.service",
    "journal check: migration databases held",
    "ready --slot green --timeout 60 --smoke",
    "journal move: migration databases moved held",
    "write active",
    "link mlflow.sock /run/mlflow-green/mlflow.sock",
    "journal move: migration databases moved",
]
TIMES_OF_MIGRATION = {
    "snapshot": 0.0,
    "compare": 1.0,
    "hold": 0.0,
    "drain": 1.0,
    "stop": 0.0,
    "copy": 3.0,
    "migrate": 5.0,
    "start": 0.0,
    "check": 0.0,
    "move": 0.0,
}


def test_an_upgrade_with_a_migration_and_its_rollback(system: TracedSystem, capsys: pytest.CaptureFixture[str]) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    assert without_unit_of_heads(system.trace()) == [
        *MIGRATION,
        "journal finish: migration databases moved committed",
        "write previous.json",
        *STOP_BLUE,
        "journal end: migration databases moved committed",
        "write result.json",
        "remove journal.json",
    ]
    assert result(system) == {
        "id": "upgrade-1",
        "kind": "upgrade",
        "ok": True,
        "step": None,
        "cause": None,
        "code": 0,
        "from": described("blue", OLD),
        "to": described("green", NEW),
        "migrated": True,
        "moved": True,
        "kept_failed": False,
        "held_seconds": 9.0,
        "timings": {**TIMES_OF_MIGRATION, "finish": 0.0},
        "started": 1_000_000.0,
        "finished": 1_000_010.0,
    }
    previous = {"id": "upgrade-1", "release": path(OLD), "version": OLD, "migrated": True}
    assert system.switch().journal.load("previous") == previous
    steps = [line.removeprefix("upgrade upgrade-1: ") for line in capsys.readouterr().out.splitlines()]
    assert steps == [*list(TIMES_OF_MIGRATION), "move", "finish", "end"]

    system.ask("rollback", "rollback-1")
    system.switch().run()
    assert system.trace() == [
        "write request.json",
        "journal snapshot:",
        "remove request.json",
        "link current 3.17.2",
        *STOP_BLUE,
        "link release 3.17.2",
        "link program /opt/mlflow/programs/first",
        "journal hold: migration held",
        "remove mlflow.sock",
        "journal drain: migration held",
        "journal stop: migration held",
        *STOP_GREEN,
        "journal restore: migration databases held",
        f"{JOB} 3.17.2 schema restore --auth-database mlflow_auth --keep-failed --id upgrade-1",
        "journal start: migration databases held",
        "systemctl start mlflow@blue.service",
        "journal check: migration databases held",
        "ready --slot blue --timeout 60 --smoke",
        "journal move: migration databases moved held",
        "write active",
        "link mlflow.sock /run/mlflow-blue/mlflow.sock",
        "journal move: migration databases moved",
        "journal finish: migration databases moved committed",
        "write rolled_back.json",
        "remove previous.json",
        *STOP_GREEN,
        "journal end: migration databases moved committed",
        "write result.json",
        "remove journal.json",
    ]
    assert system.switch().journal.load("rolled_back") == {"version": NEW, "since": "1970-01-12T13:46:53Z"}
    assert (result(system)["migrated"], result(system)["held_seconds"]) == (True, 3.0)


def test_a_rollback_without_kept_databases_starts_the_old_server(system: TracedSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    del system.databases["mlflow_before"]
    system.trace()
    system.ask("rollback", "rollback-1")
    system.switch().run()
    trace = system.trace()
    assert trace[trace.index("journal restore: migration databases held") + 2 :] == [
        "journal restore: migration held",
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
    cause = "the databases that the upgrade kept do not exist. Restore a backup"
    assert (result(system)["cause"], result(system)["code"]) == (cause, 3)


def test_a_failed_watch_is_rolled_back(system: TracedSystem, capsys: pytest.CaptureFixture[str]) -> None:
    system.want(path(NEW))
    system.broken.add(("artifacts", path(NEW)))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert without_unit_of_heads(system.trace()) == [
        *MIGRATION,
        "journal watch: migration databases moved",
        "ready --slot green --timeout 10 --artifacts",
        "journal back: migration databases moved failed",
        "journal back: migration databases moved held failed",
        "remove mlflow.sock",
        *STOP_GREEN,
        f"{JOB} 3.17.2 schema restore --auth-database mlflow_auth --id upgrade-1 --keep-failed",
        "journal back: migration moved kept_failed held failed",
        "write active",
        "link current 3.17.2",
        "systemctl start mlflow@blue.service",
        "link mlflow.sock /run/mlflow-blue/mlflow.sock",
        "journal back: migration moved kept_failed failed",
        *STOP_GREEN,
        "write rolled_back.json",
        "journal end: migration moved kept_failed failed",
        "write result.json",
        "remove journal.json",
    ]
    cause = "the new server is no longer ready: artifacts: not ready"
    assert result(system) == {
        "id": "upgrade-1",
        "kind": "upgrade",
        "ok": False,
        "step": "watch",
        "cause": cause,
        "code": 1,
        "from": described("blue", OLD),
        "to": described("green", NEW),
        "migrated": False,
        "moved": True,
        "kept_failed": True,
        "held_seconds": 11.0,
        "timings": {**TIMES_OF_MIGRATION, "watch": 0.0, "back": 2.0},
        "started": 1_000_000.0,
        "finished": 1_000_012.0,
    }
    printed = capsys.readouterr().out.splitlines()
    assert f"upgrade upgrade-1: watch: {cause}. Rolling back" in printed
    assert printed[-1] == f"upgrade upgrade-1 failed in step watch: {cause}"


def test_a_reload_does_not_touch_the_databases(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.ask("reload", watch=11)
    system.switch().run()
    watched = "ready --slot green --timeout 10 --artifacts"
    assert without_unit_of_heads(system.trace()) == [
        "write request.json",
        "journal snapshot:",
        "remove request.json",
        *STOP_GREEN,
        "link release 3.17.3",
        "link program /opt/mlflow/programs/first",
        "write server.json",
        "write settings.conf",
        "systemctl daemon-reload",
        "journal compare:",
        "heads 3.17.3",
        "journal start:",
        "systemctl start mlflow@green.service",
        "journal check:",
        "ready --slot green --timeout 60 --artifacts",
        "journal move: moved",
        "write active",
        "link mlflow.sock /run/mlflow-green/mlflow.sock",
        "journal drain: moved",
        "journal watch: moved",
        watched,
        watched,
        watched,
        "journal finish: moved committed",
        *STOP_BLUE,
        "journal end: moved committed",
        "write result.json",
        "remove journal.json",
    ]
    assert system.switch().journal.load("previous") is None
    assert (result(system)["migrated"], result(system)["timings"]["watch"]) == (False, 11.0)
    # The same release needs no comparison of the schemas.
    system.ask("reload")
    system.switch().run()
    assert not any("heads" in line for line in system.trace())


def test_a_failed_check_leaves_the_old_server(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.broken.add(("smoke", path(SAME)))
    system.ask("upgrade")
    system.switch().run()
    trace = system.trace()
    assert trace[trace.index("journal check:") :] == [
        "journal check:",
        "ready --slot green --timeout 60 --smoke",
        "journal back: failed",
        "link current 3.17.2",
        *STOP_GREEN,
        "journal end: failed",
        "write result.json",
        "remove journal.json",
    ]
    assert (result(system)["moved"], result(system)["cause"]) == (False, "smoke: not ready")
    assert list(system.running) == ["blue"]


def test_an_approval_moves_the_traffic(system: TracedSystem) -> None:
    """An old approval is removed first, and the approval of this cutover is removed at its end."""
    system.switch().journal.save("approval", {"id": "upgrade-1"})
    system.want(path(SAME))
    waits: list[float] = []

    def approve() -> None:
        entry = system.switch().journal.entry()
        if entry and entry.step == "ready":
            waits.append(system.clock)
            if len(waits) == 3:
                system.switch().journal.save("approval", {"id": "upgrade-1"})

    system.on_sleep = approve
    system.ask("upgrade", approval_timeout=60)
    system.switch().run()
    assert result(system)["ok"]
    assert result(system)["timings"]["ready"] == 0.6
    assert system.switch().journal.load("approval") is None


def test_a_missing_approval_ends_after_its_time(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.ask("upgrade", approval_timeout=60)
    system.switch().run()
    assert 60 < result(system)["timings"]["ready"] < 60.5


def test_a_crash_ends_the_wait_for_an_approval(system: TracedSystem) -> None:
    system.want(path(SAME))

    def crash() -> None:
        entry = system.switch().journal.entry()
        if entry and entry.step == "ready":
            system.running["green"] = 99

    system.on_sleep = crash
    system.ask("upgrade", approval_timeout=60)
    system.switch().run()
    assert (result(system)["step"], result(system)["cause"]) == ("ready", "the new server crashed: it went wrong")
    assert result(system)["timings"]["ready"] == 0.2


def test_a_cutover_without_an_active_slot(system: TracedSystem) -> None:
    (system.paths.slots / "active").unlink()
    system.want(path(NEW))
    system.ask("reload", "reload-1")
    system.clock += 5
    system.switch().run()
    assert result(system) == {
        "id": "reload-1",
        "kind": "reload",
        "ok": False,
        "step": "begin",
        "cause": "no slot is active. Run systemctl start mlflow.service",
        "code": 1,
        "from": None,
        "to": None,
        "migrated": False,
        "moved": False,
        "kept_failed": False,
        "held_seconds": 0.0,
        "timings": {},
        "started": 1_000_000.0,
        "finished": 1_000_005.0,
    }
    assert system.switch().journal.load("request") is None
    assert system.switch().slots.wanted_release() == path(NEW)


def test_maintenance_mode_stays_until_its_end(system: TracedSystem) -> None:
    """A server that becomes ready during maintenance mode gets no traffic."""
    system.want(path(NEW))
    system.ask("upgrade")
    targets: list[str | None] = []
    run = system.run

    def record(*command: str, **options: Any) -> str:
        answer = run(*command, **options)
        if command[:3] == ("systemctl", "start", "mlflow@green.service"):
            switch = system.switch()
            switch.started("blue")
            targets.append(switch.traffic.target())
        return answer

    system.run = record  # type: ignore[method-assign]
    system.switch().run()
    assert targets == [None]


@pytest.mark.parametrize(
    ("kind", "version", "message"),
    [
        ("reload", NEW, f"MLflow {NEW} needs another database schema. Run playbooks/upgrade.yml"),
        ("rollback", OLD, "there is no release to roll back to"),
    ],
)
def test_refusals(system: TracedSystem, kind: str, version: str, message: str) -> None:
    system.want(path(version))
    system.ask(kind)
    system.switch().run()
    assert (result(system)["cause"], result(system)["code"]) == (message, 3)


def test_a_server_that_still_runs_gets_the_traffic_before_its_configuration(system: TracedSystem) -> None:
    system.want(path(SAME))
    system.broken.add(("artifacts", path(SAME)))
    system.ask("upgrade", watch=10)
    system.switch().run()
    trace = system.trace()
    assert trace[trace.index("journal back: moved failed") :] == [
        "journal back: moved failed",
        "write active",
        "link mlflow.sock /run/mlflow-blue/mlflow.sock",
        "link current 3.17.2",
        *STOP_GREEN,
        "write rolled_back.json",
        "journal end: moved failed",
        "write result.json",
        "remove journal.json",
    ]


def test_the_time_of_the_maintenance_mode_is_rounded(system: TracedSystem) -> None:
    system.slow = {"copy": 0.12345}
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    assert result(system)["held_seconds"] == 1.123


def test_a_step_may_start_in_the_last_second_of_the_time_limit(system: TracedSystem) -> None:
    system.slow = {}
    system.want(path(SAME))
    system.ask("upgrade", timeout=100)
    system.clock += 99.5
    system.switch().run()
    assert result(system)["ok"]


def test_the_release_of_the_new_slot_is_compared(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release may be selected at any time."""
    write = system.write

    def select(place: Path, text: str, mode: int = 0o644) -> None:
        write(place, text, mode)
        if place.name == "journal.json" and '"step": "compare"' in text:
            system.want(path(OLD))

    system.want(path(NEW))
    system.ask("upgrade")
    monkeypatch.setattr(system, "write", select)
    system.switch().run()
    assert (result(system)["ok"], result(system)["migrated"]) == (True, True)


def test_a_release_that_is_selected_during_a_cutover_does_not_change_it(system: TracedSystem) -> None:
    system.want(path(NEW))
    for kind, job in (("upgrade", "3.18.0 schema migrate"), ("rollback", "3.17.2 schema restore")):
        system.on_sleep = lambda: system.want(path(SAME))
        system.ask(kind)
        system.switch().run()
        assert result(system)["ok"]
        assert any(job in line for line in system.trace())
