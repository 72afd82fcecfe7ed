# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fill MLflow's databases with rows as MLflow 2.22 writes them, and prove later that they are all there.

The rows are made in PostgreSQL itself, so that 100,000 runs take seconds. SQL is run by whoever calls: psql in a
container, a module, a driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
# The rows that `fill` made, in the tables that clients write to as well.
FILLED = {
    "experiments": "experiment_id > 1000000",
    "experiment_tags": "experiment_id > 1000000",
    "runs": "experiment_id > 1000000",
    **dict.fromkeys(
        ("params", "tags", "metrics", "latest_metrics"),
        "run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id > 1000000)",
    ),
    # Who makes an experiment gets permissions on it.
    **dict.fromkeys(
        ("experiment_permissions", "registered_model_permissions"),
        "user_id IN (SELECT id FROM users WHERE username LIKE 'person-%')",
    ),
}


class Execute(Protocol):
    """Run SQL in a database as one who may do everything; return its rows as psql -At prints them."""

    def __call__(self, database: str, sql: str, /) -> str:
        """Return the rows, one a line, fields separated by |."""
        ...


@dataclass(frozen=True)
class Checksum:
    """A table's rows, in whatever order they lie."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Snapshot:
    """The tables of a database with the columns they had, and what was in them."""

    columns: Mapping[str, tuple[str, ...]]
    checksums: Mapping[str, Checksum]

    @property
    def rows(self) -> int:
        """All rows together."""
        return sum(checksum.rows for checksum in self.checksums.values())


# A newer MLflow has moved these rows to a column; the move must have kept them.
MOVED = {
    "trace_tags": (
        "trace_name",
        "(SELECT key, value, request_id FROM trace_tags UNION ALL"
        " SELECT 'mlflow.traceName', trace_name, request_id FROM trace_info WHERE trace_name IS NOT NULL)"
        " AS trace_tags",
    )
}


def fill(execute: Execute, runs: int, *, tracking: str = "mlflow", auth: str = "mlflow_auth") -> None:
    """Make the rows of so many runs."""
    for database, name in ((tracking, "fill_tracking.sql"), (auth, "fill_auth.sql")):
        sql = (HERE / name).read_text(encoding="utf-8").replace(":runs", str(runs))
        execute(database, f"BEGIN;\n{sql}COMMIT;\n")


def columns(execute: Execute, database: str) -> dict[str, tuple[str, ...]]:
    """The tables of a database and their columns, but for those that tell the revision."""
    answer: dict[str, tuple[str, ...]] = {}
    lines = execute(
        database,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name NOT LIKE 'alembic_version%' ORDER BY table_name, column_name;",
    )
    for line in lines.splitlines():
        table, column = line.split("|")
        answer[table] = (*answer.get(table, ()), column)
    return answer


def checksums(
    execute: Execute,
    database: str,
    of: Mapping[str, tuple[str, ...]],
    where: Mapping[str, str] | None = None,
) -> dict[str, Checksum]:
    """Checksums over columns of tables; `where` leaves rows of a table out. A table that is not there is left out."""
    present = columns(execute, database)
    queries = []
    for table, names in of.items():
        if table not in present:
            continue
        # Each value quoted, so that neither borders nor nulls can be mistaken.
        text = " || ',' || ".join(f'quote_nullable("{name}"::text)' for name in names)
        condition = (where or {}).get(table, "true")
        source = f'"{table}"'
        if table in MOVED and any(MOVED[table][0] in names for names in present.values()):
            source = MOVED[table][1]
        queries.append(
            f"SELECT '{table}', count(*), coalesce(sum(hashtextextended({text}, 0)::numeric), 0)"  # noqa: S608
            f" FROM {source} WHERE {condition}"
        )
    answer = {}
    for line in execute(database, " UNION ALL ".join(queries) + ";").splitlines():
        table, rows, digest = line.split("|")
        answer[table] = Checksum(int(rows), digest)
    return answer


def snapshot(execute: Execute, database: str, where: Mapping[str, str] | None = None) -> Snapshot:
    """What is in all the tables now."""
    of = columns(execute, database)
    return Snapshot(of, checksums(execute, database, of, where))


def differences(
    execute: Execute, database: str, old: Snapshot, where: Mapping[str, str] | None = None
) -> dict[str, tuple[Checksum, Checksum | None]]:
    """The tables whose original columns do not hold what they held, with what they hold (None: no such table)."""
    now = checksums(execute, database, old.columns, where)
    return {table: (then, now.get(table)) for table, then in old.checksums.items() if now.get(table) != then}
