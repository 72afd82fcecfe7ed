# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a cutover: schema jobs, traffic, drain and journal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mlflowctl.errors import FailedError

from .fake_system import SETTINGS
from .traced_system import NEW, OLD, SAME, TracedSystem, killed, make, path, result


@pytest.fixture
def system(tmp_path: Path) -> TracedSystem:
    """Return a VM with 3.17.2 in the active slot blue."""
    return make(tmp_path)


def test_a_release_that_is_older_than_the_databases_is_refused(system: TracedSystem) -> None:
    system.databases["mlflow"]["schema"] = 2
    with pytest.raises(FailedError) as caught:
        system.switch().database.migration(path(OLD), SETTINGS)
    assert caught.value.code == 3
    assert str(caught.value) == (
        f"the tracking database is at revision 2, which {path(OLD)} does not know:"
        " the database is newer than the release"
    )


def test_the_revisions_of_the_databases(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    database = system.switch().database

    def needed(*heads: tuple[str | None, str, bool]) -> bool:
        document = {str(n): dict(zip(("database", "code", "known"), each, strict=True)) for n, each in enumerate(heads)}
        lines: list[tuple[str, ...]] = []
        monkeypatch.setattr(system, "run", lambda *line, **_: lines.append(line) or f"INFO\n{json.dumps(document)}\n")
        answer = database.migration("r", SETTINGS)
        assert "r/bin/python" in lines[0]
        return answer

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
        system.switch().database.ask("r", SETTINGS, "copy")
    assert str(caught.value) == f"schema copy did not print JSON: {answer[-300:]!r}"


def test_reading_jobs_have_units_of_their_own(system: TracedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading job may run beside the job of a cutover. Recovery stops the job of the cutover by its unit name."""
    lines: list[list[str]] = []
    monkeypatch.setattr(system, "run", lambda *line, **_: lines.append(list(line)) or "{}")
    for command in ("heads", "size", "counts", "copy", "migrate", "restore"):
        system.switch().database.ask("r", SETTINGS, command)
        (unit,) = (word for word in lines[-1] if word.startswith("--unit="))
        assert (unit == "--unit=mlflow-schema") == (command in ("copy", "migrate", "restore"))
        assert unit == "--unit=mlflow-schema" or re.fullmatch("--unit=mlflow-schema-[0-9a-f]{8}", unit)
    system.switch().database.ask("r", SETTINGS, "copy", left=12.0)
    assert "--property=RuntimeMaxSec=12" in lines[-1]


def test_a_schema_job_gets_the_database_of_an_own_application(
    system: TracedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs copy and restore it together with the databases of MLflow. Other modes have no such database."""
    lines: list[list[str]] = []
    monkeypatch.setattr(system, "run", lambda *line, **_: lines.append(list(line)) or "{}")
    for settings in (SETTINGS | {"application_database": "own"}, SETTINGS | {"application_database": ""}):
        system.switch().database.ask("r", settings, "copy", "--id", "7")
    with_application, without = (line[line.index("copy") + 1 :] for line in lines)
    assert with_application == ["--auth-database", "mlflow_auth", "--application-database", "own", "--id", "7"]
    assert without == ["--auth-database", "mlflow_auth", "--id", "7"]


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


def test_a_slot_without_a_release_is_named(system: TracedSystem) -> None:
    (system.paths.slots / "blue" / "release").unlink()
    system.want(path(NEW))
    system.ask("upgrade")
    with pytest.raises(FailedError, match="the slot blue has no release"):
        system.switch().run()
