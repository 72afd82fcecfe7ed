# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of a cutover in order, with the journal before each of them, and the documents that it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflowctl.errors import FailedError
from mlflowctl.system import PROGRAM

from .fake_system import FakeSystem, KilledError

OLD, SAME, NEW = "3.17.2", "3.17.3", "3.18.0"
FLAGS = ("migration", "databases", "moved", "committed", "kept_failed")


class TracedSystem(FakeSystem):
    """A VM that also records the content of the journal. Schema jobs take time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.slow = {"heads": 1, "copy": 3, "migrate": 5, "restore": 2}
        self.kill_after = ""

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        super().write(path, text, mode)
        if path.name != "journal.json" or self._inner:
            return
        entry = json.loads(text)
        held = ["held"] if entry["held_since"] is not None else []
        failed = ["failed"] if entry["failure"] else []
        self.log[-1] = " ".join([f"journal {entry['step']}:", *(f for f in FLAGS if entry[f]), *held, *failed])
        if self.log[-1] == self.kill_after:
            self.kill_at = self.deeds + 1

    def trace(self) -> list[str]:
        """Return the actions since the last call, in short forms."""
        lines = [line for line in self.log if not line.startswith("after ")]
        self.log.clear()
        for path in self.code:
            lines = [line.replace(path, path.split("/")[-1].split("-")[0]) for line in lines]
        return [line.replace(f"-I {PROGRAM} ", "").replace("/bin/python ", " ") for line in lines]


@pytest.fixture
def system(tmp_path: Path) -> TracedSystem:
    """Return a VM with 3.17.2 in the active slot blue."""
    system = TracedSystem(tmp_path)
    system.want(system.release(OLD, 1))
    system.release(SAME, 1)
    system.release(NEW, 2)
    system.switch().start()
    system.trace()
    return system


def path(version: str) -> str:
    return f"/opt/mlflow/releases/{version}-0123456789ab"


def described(slot: str, version: str) -> dict[str, str]:
    return {"slot": slot, "release": path(version), "version": version}


def result(system: FakeSystem) -> dict[str, Any]:
    document = system.switch().journal.load("result")
    assert document is not None
    return document


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


JOB = "systemd-run --quiet --collect --unit=mlflow-schema --wait --pipe"
STOP_BLUE = ["systemctl stop mlflow@blue.service", "systemctl reset-failed mlflow@blue.service"]
STOP_GREEN = ["systemctl stop mlflow@green.service", "systemctl reset-failed mlflow@green.service"]
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
    "heads",
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


def without_unit_of_heads(trace: list[str]) -> list[str]:
    """Shorten the command that reads the revisions: its unit has a random name."""
    return ["heads" if " schema heads " in line else line for line in trace]


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


def killed(system: TracedSystem, kill_after: str) -> None:
    """Kill a cutover at the first action after a line of the trace, and forget the trace."""
    system.kill_after = kill_after
    with pytest.raises(KilledError):
        system.switch().run()
    system.kill_after, system.kill_at = "", None
    system.trace()


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
    system = killed_rollback
    system.switch().recover()
    assert without_unit_of_heads(system.trace()) == [
        "systemctl stop mlflow-schema.service",
        "journal back: migration databases held failed",
        "remove mlflow.sock",
        *STOP_GREEN,
        *STOP_BLUE,
        f"{JOB} 3.17.2 schema restore --auth-database mlflow_auth --keep-failed --id upgrade-1",
        "heads",
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
        "heads",
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
        "heads",
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
    assert "heads" not in without_unit_of_heads(system.trace())


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


@pytest.mark.parametrize(("drain", "seconds"), [(None, 5.0), (2, 2.0), (0, 0.0)])
def test_the_drain_has_a_limit(
    system: TracedSystem, capsys: pytest.CaptureFixture[str], drain: int | None, seconds: float
) -> None:
    table = system.paths.root / "proc/net/unix"
    table.parent.mkdir(parents=True)
    table.write_text("0: 00000003 00000000 00000000 0001 03 1002 /run/mlflow-blue/mlflow.sock\n", encoding="utf-8")
    system.want(path(SAME))
    system.ask("reload", **({} if drain is None else {"drain": drain}))
    system.switch().run()
    assert result(system)["timings"]["drain"] == pytest.approx(1 + seconds, abs=0.25)
    assert f"1 requests are still in flight after {seconds:.0f} s\n" in capsys.readouterr().out


def test_a_drained_server_is_not_reported(system: TracedSystem, capsys: pytest.CaptureFixture[str]) -> None:
    system.ask("reload")
    system.switch().run()
    assert "in flight" not in capsys.readouterr().out


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


def test_a_release_that_is_older_than_the_databases_is_refused(system: TracedSystem) -> None:
    system.databases["mlflow"]["schema"] = 2
    with pytest.raises(FailedError) as caught:
        system.switch().database.migration(path(OLD), "mlflow_auth")
    assert caught.value.code == 3
    assert str(caught.value) == (
        f"the tracking database is at revision 2, which {path(OLD)} does not know:"
        " the database is newer than the release"
    )


def test_the_revisions_of_the_databases(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    database = system.switch().database

    def needed(*heads: tuple[str | None, str, bool]) -> bool:
        document = {str(n): dict(zip(("database", "code", "known"), each, strict=True)) for n, each in enumerate(heads)}
        monkeypatch.setattr(system, "run", lambda *_, **__: f"INFO\n{json.dumps(document)}\n")
        return database.migration("r", "a")

    assert not needed(("1", "1", False), (None, "1", False))
    assert needed(("1", "2", True))
    assert needed((None, "1", False), ("1", "1", True), ("1", "2", True), ("1", "1", True))
    with pytest.raises(FailedError):
        needed(("1", "2", True), ("3", "2", False))


@pytest.mark.parametrize("answer", ["", "no JSON", "x" * 400])
def test_a_schema_job_that_prints_no_document(
    system: TracedSystem, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(system, "run", lambda *_, **__: answer)
    with pytest.raises(FailedError) as caught:
        system.switch().database.ask("r", "a", "copy")
    assert str(caught.value) == f"schema copy did not print JSON: {answer[-300:]!r}"


def test_reading_jobs_have_units_of_their_own(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading job may run beside the job of a cutover. Recovery stops the job of the cutover by its unit name."""
    lines: list[list[str]] = []
    monkeypatch.setattr(system, "run", lambda *line, **_: lines.append(list(line)) or "{}")
    for command in ("heads", "size", "counts", "copy", "migrate", "restore"):
        system.switch().database.ask("r", "a", command)
        assert ("--unit=mlflow-schema" in lines[-1]) == (command in ("copy", "migrate", "restore"))
    system.switch().database.ask("r", "a", "copy", left=12.0)
    assert "--property=RuntimeMaxSec=12" in lines[-1]


def test_an_orphan_that_is_gone_is_no_error(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def run(*line: str, **options: Any) -> str:
        calls.append((line, options))
        raise FailedError("Unit mlflow-schema.service not loaded.")

    monkeypatch.setattr(system, "run", run)
    system.switch().database.end_orphan()
    assert calls == [(("systemctl", "stop", "mlflow-schema.service"), {"quiet": True})]


def test_traffic_moves_only_if_the_target_changes(system: TracedSystem) -> None:
    traffic = system.switch().traffic
    traffic.move("blue")
    assert system.trace() == []
    traffic.move("green")
    assert (traffic.target(), system.trace()) == ("green", ["link mlflow.sock /run/mlflow-green/mlflow.sock"])
    system.link(system.paths.link, "/run/other/mlflow.sock")
    assert traffic.target() is None
    traffic.hold()
    assert traffic.target() is None


def test_the_journal_adds_up_the_time_of_a_repeated_step(system: TracedSystem) -> None:
    system.ask("reload")
    killed(system, "journal snapshot:")
    journal = system.switch().journal
    entry = journal.entry()
    assert entry is not None
    assert (entry.step, entry.step_since, entry.timings) == ("snapshot", 1_000_000.0, {})
    system.clock += 1.23456
    journal.step(entry, "copy", moved=True)
    system.clock += 2
    journal.step(entry, "snapshot")
    system.clock += 1
    journal.step(entry, "end")
    assert entry.timings == {"snapshot": 2.235, "copy": 2.0}
    assert journal.entry() == entry
    assert entry.moved
    file = system.paths.state / "journal.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text(encoding="utf-8") == json.dumps(journal.load("journal"), indent=1, sort_keys=True) + "\n"
    journal.drop("journal")
    journal.drop("journal")
    assert journal.entry() is None
