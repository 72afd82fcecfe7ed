# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Size of the databases, and numbers of rows before and after an upgrade."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from psycopg2 import sql

from ..database_uri import Databases
from .names import MAINTENANCE, before, mark_in

COUNTED = {
    "tracking": ("runs", "experiments", "registered_models", "model_versions", "logged_models", "trace_info"),
    "auth": ("users",),
}


def size(databases: Databases) -> dict[str, Any]:
    """Return the bytes of the databases, and the used and allowed connections."""
    with contextlib.closing(databases.connect(MAINTENANCE)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname = ANY(%s)",
            [list(databases.names)],
        )
        sizes = dict(cursor.fetchall())
        cursor.execute(
            "SELECT count(*), current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
            " FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        used, allowed = cursor.fetchone()
    return {"databases": sizes, "bytes": sum(sizes.values()), "connections": {"used": used, "allowed": allowed}}


def counts(databases: Databases) -> dict[str, Any]:
    """Count the rows of the most important tables, in the active and in the kept databases."""

    def count(name: str, tables: Sequence[str]) -> dict[str, int]:
        answer = {}
        with contextlib.closing(databases.connect(name)) as connection, connection.cursor() as cursor:
            for table in tables:
                cursor.execute("SELECT to_regclass(%s)", [table])
                if cursor.fetchone()[0] is not None:
                    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
                    answer[table] = cursor.fetchone()[0]
        return answer

    def both(name: Callable[[str], str]) -> dict[str, int]:
        tracking = count(name(databases.tracking), COUNTED["tracking"])
        return tracking | count(name(databases.auth), COUNTED["auth"])

    # The database of an own application may be newer than the kept databases.
    of_mlflow = {databases.tracking, databases.auth}
    with contextlib.closing(databases.connect(MAINTENANCE)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = ANY(%s)",
            [[before(name) for name in of_mlflow]],
        )
        marks = [mark_in(row[0] or "") for row in cursor.fetchall()]
    kept = len(marks) == len(of_mlflow)
    upgrade = marks[0] if kept and len(set(marks)) == 1 else None
    return {"serving": both(str), "before": both(before) if kept else None, "upgrade": upgrade}
