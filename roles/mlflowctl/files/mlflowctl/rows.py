# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Count the rows of every table in MLflow's databases, with a checksum that does not depend on the order of the rows.

Only reads.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

from psycopg2 import sql

from .database_uri import Databases

Json = dict[str, Any]
TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"
COUNTED = "select count(*), null from {} t"
CHECKED = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {} t"
REVISIONS = ("alembic_version", "alembic_version_auth")


def look(connection: Any, *, checksums: bool) -> Json:
    """Count the rows of every table of one database, in one transaction."""
    try:
        connection.autocommit = False
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            names = [name for (name,) in cursor.fetchall()]
            revision, tables = None, {}
            for name in names:
                # A sum of the row hashes needs no sorting, so even a large table is read once.
                query = sql.SQL(CHECKED if checksums else COUNTED).format(sql.Identifier("public", name))
                cursor.execute(query)
                tables[name] = list(cursor.fetchone())
                if name in REVISIONS:
                    cursor.execute(sql.SQL("select version_num from {}").format(sql.Identifier("public", name)))
                    revision = next((number for (number,) in cursor.fetchall()), None)
        return {"tables": tables, "revision": revision}
    finally:
        connection.close()


def differences(expected: Json, found: Json) -> Json:
    """Compare the rows found with the rows of the backup.

    `expected` has the counts right before and right after the backup. If both are equal, the table must match exactly;
    if clients wrote in between, the number of rows must lie between both. Checksums count only if both sides have one.
    """
    wrong, exact, between = [], 0, 0
    for database, was in expected["before"].items():
        tables, later = found.get(database, {}).get("tables", {}), expected["after"].get(database, was)
        if found.get(database, {}).get("revision") not in (was["revision"], later["revision"]):
            wrong.append(f"{database}: schema {found.get(database, {}).get('revision')}, was {was['revision']}")
        for name in sorted({*was["tables"], *tables}):
            first, second = was["tables"].get(name), later["tables"].get(name)
            now = tables.get(name)
            if _same(first, second) or now is None or first is None or second is None:
                if _same(now, first):
                    exact += 1
                else:
                    wrong.append(f"{database}.{name}: {_told(now)}, was {_told(first)}")
            else:
                between += 1
                low, high = sorted([first[0], second[0]])
                if not low <= now[0] <= high:
                    wrong.append(f"{database}.{name}: {_told(now)}, was {low} to {high} rows")
    return {"wrong": wrong, "exact": exact, "between": between}


def _same(one: Any, other: Any) -> bool:
    # Without a checksum on one side, only the numbers of rows can be compared.
    if one and other and None in (one[1], other[1]):
        return bool(one[0] == other[0])
    return bool(one == other)


def _told(rows: Any) -> str:
    if not rows:
        return "not there"
    return f"{rows[0]} rows" + (f" (checksum {rows[1]})" if rows[1] is not None else "")


def count(databases: Databases, *, checksums: bool, expected: Json | None) -> Json:
    """Count the rows of both databases. `expected`: the counts of a backup, to which the result is compared."""
    found = {name: look(databases.connect(name), checksums=checksums) for name in databases.names}
    result: Json = {"version": importlib.metadata.version("mlflow"), "databases": found}
    if expected:
        result["compared"] = differences(expected, found)
    return result
