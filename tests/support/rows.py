# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fill MLflow's databases with rows as MLflow 2.22 writes them, and verify later that they are unchanged.

PostgreSQL generates the rows, so that 100,000 runs take seconds. The caller runs the SQL: with psql in a container, a
module or a driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
# Conditions for the rows of `fill`, in tables that clients also write to.
FILLED = {
    "experiments": "experiment_id > 1000000",
    "experiment_tags": "experiment_id > 1000000",
    "runs": "experiment_id > 1000000",
    **dict.fromkeys(
        ("params", "tags", "metrics", "latest_metrics"),
        "run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id > 1000000)",
    ),
    # The creator of an experiment gets permissions on it.
    **dict.fromkeys(
        ("experiment_permissions", "registered_model_permissions"),
        "user_id IN (SELECT id FROM users WHERE username LIKE 'person-%')",
    ),
}


class Execute(Protocol):
    """Run SQL in a database as an administrator; return the rows in the format of psql -At."""

    def __call__(self, database: str, sql: str, /) -> str:
        """Return one row per line, with fields separated by |."""
        ...


@dataclass(frozen=True)
class Checksum:
    """Checksum of a table's rows, independent of their order."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Snapshot:
    """Columns and checksums of the tables of a database at one time."""

    columns: Mapping[str, tuple[str, ...]]
    checksums: Mapping[str, Checksum]

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return sum(checksum.rows for checksum in self.checksums.values())


# Newer releases of MLflow moved these rows to a column. The values must be the same.
MOVED = {
    "trace_tags": (
        "trace_name",
        "(SELECT key, value, request_id FROM trace_tags UNION ALL"
        " SELECT 'mlflow.traceName', trace_name, request_id FROM trace_info WHERE trace_name IS NOT NULL)"
        " AS trace_tags",
    )
}


def fill(execute: Execute, runs: int, *, tracking: str = "mlflow", auth: str = "mlflow_auth") -> None:
    """Create the rows of this many runs."""
    for database, name in ((tracking, "fill_tracking.sql"), (auth, "fill_auth.sql")):
        sql = (HERE / name).read_text(encoding="utf-8").replace(":runs", str(runs))
        execute(database, f"BEGIN;\n{sql}COMMIT;\n")


def columns(execute: Execute, database: str) -> dict[str, tuple[str, ...]]:
    """Return the tables of a database and their columns, without the tables of the schema revision."""
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
    """Return checksums of columns of tables. `where` selects rows of a table. Missing tables are skipped."""
    present = columns(execute, database)
    queries = []
    for table, names in of.items():
        if table not in present:
            continue
        # Values are quoted, so that value borders and nulls are unambiguous.
        text = " || ',' || ".join(f'quote_nullable("{name}"::text)' for name in names)
        condition = (where or {}).get(table, "true")
        source = f'"{table}"'
        if table in MOVED and any(MOVED[table][0] in names for names in present.values()):
            source = MOVED[table][1]
        queries.append(
            f"SELECT '{table}', count(*), coalesce(sum(hashtextextended({text}, 0)::numeric), 0)"
            f" FROM {source} WHERE {condition}"
        )
    answer = {}
    for line in execute(database, " UNION ALL ".join(queries) + ";").splitlines():
        table, rows, digest = line.split("|")
        answer[table] = Checksum(int(rows), digest)
    return answer


def snapshot(execute: Execute, database: str, where: Mapping[str, str] | None = None) -> Snapshot:
    """Return the present columns and checksums of all tables."""
    of = columns(execute, database)
    return Snapshot(of, checksums(execute, database, of, where))


def differences(
    execute: Execute, database: str, old: Snapshot, where: Mapping[str, str] | None = None
) -> dict[str, tuple[Checksum, Checksum | None]]:
    """Return tables with changed original columns: old and new checksum (None if the table is missing)."""
    now = checksums(execute, database, old.columns, where)
    return {table: (then, now.get(table)) for table, then in old.checksums.items() if now.get(table) != then}
