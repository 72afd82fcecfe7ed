# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The preparation of the database for a rotation, on a scripted server. e2e/test_rotate.py uses a real one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mlflowctl import cli, rotation
from mlflowctl.errors import FailedError


class Clock:
    """A clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """A cursor. The user owns these tables and a number of other objects. Some tables are in use for some attempts."""

    def __init__(self, tables: dict[str, int], rest: int = 0, rights: set[tuple[str, ...]] | None = None) -> None:
        self.tables, self.rest, self.rights = tables, rest, rights or set()
        self.said: list[str] = []
        self.rows: list[tuple[Any, ...]] = []
        self.version = 170000

    def execute(self, query: Any, parameters: Any = ()) -> None:
        text = query if isinstance(query, str) else query.as_string(None)
        self.rows = []
        if "from pg_class c" in text:
            self.rows = [("public", name) for name in self.tables]
        elif "from pg_shdepend" in text:
            self.rows = [(self.rest,)]
        elif "server_version_num" in text:
            self.rows = [(self.version,)]
        elif text == "select session_user":
            self.rows = [("mlflow",)]
        elif "from pg_roles where rolname" in text:
            self.rows = [(int(("role", parameters[0]) in self.rights),)]
        elif "pg_has_role" in text:
            self.rows = [(tuple(parameters) in self.rights,)]
        else:
            self._change(text)

    def _change(self, text: str) -> None:
        self.said.append(text)
        words = text.replace('"', "").split()
        if words[:2] == ["alter", "table"]:
            name = words[2].removeprefix("public.")
            if self.tables[name]:
                self.tables[name] -= 1
                raise psycopg.errors.LockNotAvailable("in use")
            del self.tables[name]
        elif words[0] == "create":
            # Since PostgreSQL 16, the creator of a role may grant the role but not act as the role.
            self.rights |= {("role", words[2]), ("mlflow", words[2], "MEMBER WITH ADMIN OPTION")}
        elif words[0] == "grant":
            self.rights |= {(words[3], words[1], right) for right in ("USAGE", "SET")}
            if "admin" in words:
                self.rights.add((words[3], words[1], "MEMBER WITH ADMIN OPTION"))

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None


def test_hands_tables_over_one_by_one_and_comes_back_to_those_in_use() -> None:
    server, clock = Server({"runs": 0, "metrics": 3}), Clock()
    assert rotation.hand_over(server, "mlflow_owner", patience=10, clock=clock, sleep=clock.sleep) == 2
    assert server.tables == {}
    assert server.said.count('alter table "public"."metrics" owner to "mlflow_owner"') == 4
    assert server.said[0] == "set lock_timeout = '250ms'"
    assert not any("reassign" in each for each in server.said)


def test_gives_up_on_a_table_that_is_always_in_use_and_names_it() -> None:
    server, clock = Server({"runs": 0, "metrics": 1000}), Clock()
    with pytest.raises(FailedError, match="1 tables, metrics among them, were in use for 10 s"):
        rotation.hand_over(server, "mlflow_owner", patience=10, clock=clock, sleep=clock.sleep)
    assert "runs" not in server.tables


def test_other_objects_are_reassigned_within_the_deadlock_timeout() -> None:
    server, clock = Server({}, rest=2), Clock()
    assert rotation.hand_over(server, "mlflow_owner", patience=10, clock=clock, sleep=clock.sleep) == 2
    assert server.said[-2:] == ["set statement_timeout = '900ms'", 'reassign owned by session_user to "mlflow_owner"']


def test_lets_both_users_act_as_the_owner() -> None:
    server = Server({})
    assert rotation.missing(server, "mlflow_owner", ["mlflow", "mlflow_alternate"])[0] == "role mlflow_owner"
    rotation.join(server, "mlflow_owner", "mlflow_alternate")
    assert server.said == [
        'create role "mlflow_owner" nologin',
        'grant "mlflow_owner" to "mlflow"',
        'grant "mlflow_owner" to "mlflow_alternate" with admin option',
    ]
    server.said.clear()
    rotation.join(server, "mlflow_owner", "mlflow_alternate")
    assert server.said == []


def test_says_where_a_grant_had_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server({}, rights={("role", "mlflow_owner")})
    monkeypatch.setattr(server, "_change", server.said.append)
    with pytest.raises(FailedError, match="mlflow cannot act as mlflow_owner although it was granted"):
        rotation.join(server, "mlflow_owner", "mlflow_alternate")


class Sessions:
    """A server with sessions of the former user, which cannot be ended by us. Some end at each check."""

    def __init__(self, *counts: int, grant: bool = False) -> None:
        self.counts, self.grant, self.rows = list(counts), grant, [(0,)]

    def execute(self, query: str, parameters: Any = ()) -> None:
        if "session_user" in query:
            self.rows = [("mlflow",)]
        elif "pg_terminate_backend" in query:
            if not self.grant:
                raise psycopg.errors.InsufficientPrivilege("permission denied to terminate process")
            self.rows = [(self.counts[0],)]
        else:
            assert parameters == ("mlflow_alternate",)
            self.rows = [(0, self.counts.pop(0) if len(self.counts) > 1 else self.counts[0])]

    def fetchone(self) -> tuple[Any, ...]:
        return self.rows[0]


def end_sessions(monkeypatch: pytest.MonkeyPatch, server: Sessions) -> Any:
    monkeypatch.setattr(rotation, "session", lambda _: contextlib.nullcontext(server))
    return rotation.end_sessions(None, user="mlflow_alternate", patience=10.0)


def test_ends_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert end_sessions(monkeypatch, Sessions(2, grant=True)) == {"cut": 2, "changed": True}


def test_without_the_right_to_end_sessions_a_rotation_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google does not document that its users have pg_signal_backend."""
    clock = Clock()
    monkeypatch.setattr(rotation.wait_idle, "__kwdefaults__", {"clock": clock, "sleep": clock.sleep})
    assert end_sessions(monkeypatch, Sessions(2, 1, 0)) == {"cut": 0, "ended": 2, "changed": False}
    assert clock.now == 2.0
    assert end_sessions(monkeypatch, Sessions(0)) == {"cut": 0, "ended": 0, "changed": False}
    with pytest.raises(FailedError, match="1 sessions of mlflow_alternate are open after 10 s") as error:
        end_sessions(monkeypatch, Sessions(3, 1))
    assert "pg_signal_backend" in str(error.value)
    assert "no new session can begin" in str(error.value)


def test_without_credentials_a_job_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert cli.main(["rotate", "sessions", "--user", "mlflow"]) == 1
    assert "mlflowctl run-job" in capsys.readouterr().err


def test_an_error_of_the_database_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_arguments: Any) -> None:
        raise psycopg.OperationalError("refused\nby 10.0.0.3")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mlflow.database-uri").write_text("postgresql+psycopg2://mlflow:hunter2@10.0.0.3/mlflow\n")
    assert cli.main(["rotate", "sessions", "--user", "mlflow_alternate"]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "OperationalError: refused"
    assert "hunter2" not in said.err
    assert said.out == ""
