# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Connections of schema.py. molecule/upgrade tests its commands with a PostgreSQL server."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.programs import load


class Connection:
    """A connection of the driver, with the options of the call."""

    autocommit = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        assert not arguments
        self.options = options


@pytest.fixture
def schema(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the program with a fake driver. Only a release on the VM has the real one."""
    driver = ModuleType("psycopg2")
    for name in ("errors", "sql"):
        part = ModuleType(f"psycopg2.{name}")
        setattr(driver, name, part)
        monkeypatch.setitem(sys.modules, part.__name__, part)
    driver.connect = Connection  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    return load("mlflow", "schema")


def databases(schema: Any, credentials: Path, query: str) -> Any:
    """Return the databases of a credential."""
    uri = f"postgresql://mlflow:p%40ss@10.1.2.3/mlflow?{query}\n"
    (credentials / "mlflow.database-uri").write_text(uri, encoding="utf-8")
    return schema.read_databases(credentials, "mlflow_auth")


class Rows:
    """A session without tables, with comments of databases."""

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


def test_a_lost_connection_is_detected(schema: Any, tmp_path: Path) -> None:
    """The options apply to the sessions of schema.py and to engines that migrations create from the URL."""
    found = databases(schema, tmp_path, "sslmode=verify-ca")
    options = found.connect("mlflow_auth").options
    assert (options["dbname"], options["password"], options["sslmode"]) == ("mlflow_auth", "p@ss", "verify-ca")
    patience = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
    assert patience.items() <= options.items()
    assert patience.items() <= dict(found.url.query).items()


def test_options_of_the_credential_have_precedence(schema: Any, tmp_path: Path) -> None:
    options = databases(schema, tmp_path, "keepalives_idle=5").connect("mlflow").options
    assert (options["keepalives_idle"], options["keepalives_count"]) == ("5", "6")
