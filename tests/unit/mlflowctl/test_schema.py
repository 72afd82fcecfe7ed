# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of the schema jobs. molecule/upgrade tests the other commands with a PostgreSQL server."""

from __future__ import annotations

import pytest
from mlflowctl.database_uri import Databases
from mlflowctl.schema import numbers, revisions


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

    def execute(self, statement: str, values: object = None) -> None:
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
    comments: list[str | None], before: dict[str, int] | None, upgrade: str | None
) -> None:
    found = Databases("mlflow", "mlflow_auth", None)
    object.__setattr__(found, "connect", lambda _: Rows(comments))
    assert numbers.counts(found) == {"serving": {}, "before": before, "upgrade": upgrade}


def test_the_database_of_an_own_application_is_not_counted() -> None:
    """An upgrade before the change of the mode has kept the two databases of MLflow."""
    found = Databases("mlflow", "mlflow_auth", None, "mlflow_application")
    object.__setattr__(found, "connect", lambda _: Rows(["mlflow upgrade 7", "mlflow upgrade 7"]))
    assert numbers.counts(found) == {"serving": {}, "before": {}, "upgrade": "7"}


@pytest.mark.parametrize(("application", "kinds"), [("", {"tracking", "auth"}), ("own", {"tracking"})])
def test_an_own_application_needs_no_tables_of_the_authentication(
    monkeypatch: pytest.MonkeyPatch, application: str, kinds: set[str]
) -> None:
    found = Databases("mlflow", "mlflow_auth", None, application)
    object.__setattr__(found, "connect", lambda _: Rows([]))
    monkeypatch.setattr(revisions.Schema, "revisions", lambda _: ("head", {"head"}))
    assert set(revisions.heads(found)) == kinds
