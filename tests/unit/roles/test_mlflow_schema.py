# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""How schema.py reaches the databases; what it does with them is tested with a PostgreSQL, in molecule/upgrade."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.programs import load


class Connection:
    """What the driver would return, and what it was asked for."""

    autocommit = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        assert not arguments
        self.options = options


@pytest.fixture
def schema(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, with a driver that only a release on a machine has."""
    driver = ModuleType("psycopg2")
    for name in ("errors", "sql"):
        part = ModuleType(f"psycopg2.{name}")
        setattr(driver, name, part)
        monkeypatch.setitem(sys.modules, part.__name__, part)
    driver.connect = Connection  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    return load("mlflow", "schema")


def databases(schema: Any, credentials: Path, query: str) -> Any:
    """What a credential leads to."""
    uri = f"postgresql://mlflow:p%40ss@10.1.2.3/mlflow?{query}\n"
    (credentials / "mlflow.database-uri").write_text(uri, encoding="utf-8")
    return schema.read_databases(credentials, "mlflow_auth")


class Rows:
    """A session that finds no tables, and databases with comments."""

    def __init__(self, comments: list[str | None]) -> None:
        self.comments = comments
        self.asked = ""

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def cursor(self) -> Rows:
        return self

    def close(self) -> None:
        return

    def execute(self, statement: str, values: object) -> None:
        self.asked = statement

    def fetchone(self) -> tuple[None]:
        return (None,)

    def fetchall(self) -> list[tuple[str | None]]:
        assert "shobj_description" in self.asked
        return [(comment,) for comment in self.comments]


@pytest.mark.parametrize(
    ("comments", "before", "upgrade"),
    [
        (["mlflow upgrade 7", "mlflow upgrade 7\nours"], {}, "7"),
        (["mlflow upgrade 7", "mlflow upgrade 8"], {}, None),
        (["ours", None], {}, None),
        (["mlflow upgrade 7"], None, None),
        ([], None, None),
    ],
)
def test_counts_name_the_upgrade_that_kept_the_databases(
    schema: Any, comments: list[str | None], before: dict[str, int] | None, upgrade: str | None
) -> None:
    found = schema.Databases("mlflow", "mlflow_auth", None)
    object.__setattr__(found, "connect", lambda _: Rows(comments))
    assert schema.counts(found) == {"serving": {}, "before": before, "upgrade": upgrade}


def test_a_server_that_is_gone_without_a_word_is_noticed(schema: Any, tmp_path: Path) -> None:
    """For our own sessions, and for the engines that migrations make of the URL."""
    found = databases(schema, tmp_path, "sslmode=verify-ca")
    options = found.connect("mlflow_auth").options
    assert (options["dbname"], options["password"], options["sslmode"]) == ("mlflow_auth", "p@ss", "verify-ca")
    patience = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
    assert patience.items() <= options.items()
    assert patience.items() <= dict(found.url.query).items()


def test_what_the_credential_says_goes_first(schema: Any, tmp_path: Path) -> None:
    options = databases(schema, tmp_path, "keepalives_idle=5").connect("mlflow").options
    assert (options["keepalives_idle"], options["keepalives_count"]) == ("5", "6")
