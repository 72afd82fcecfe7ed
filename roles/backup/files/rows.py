# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Count the rows of every table in MLflow's databases, with a checksum that does not depend on the order of the rows.

Runs in the Python of a release as the user of the service, with the credential mlflow.database-uri. Only reads. Prints
one JSON object without secrets. With --expected, the object also lists the differences from a backup.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

Json = dict[str, Any]
TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"
COUNTED = "select count(*), null from {} t"
CHECKED = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {} t"
REVISIONS = ("alembic_version", "alembic_version_auth")


class RowsError(Exception):
    """A failure whose message contains no secret."""


def arguments_of(credentials: Path, options: argparse.Namespace) -> Json:
    """Return the arguments of psycopg2: the server's own connection, changed by the options."""
    path = credentials / "mlflow.database-uri"
    if not path.exists():
        raise RowsError("credential mlflow.database-uri is missing: see systemctl status mlflow-credentials.service")
    try:
        url = make_url(path.read_text(encoding="utf-8").rstrip("\r\n"))
    except ArgumentError:
        # The original message contains the whole URI.
        raise RowsError("credential mlflow.database-uri is not a database URI") from None
    found: Json = url.translate_connect_args(username="user", database="dbname")
    found |= {key: value for key, value in url.query.items() if isinstance(value, str)}
    if (credentials / "mlflow.database-ca").exists():
        found["sslrootcert"] = str(credentials / "mlflow.database-ca")
    found |= {"application_name": "backup", "connect_timeout": 30}
    if options.host:
        found["host"] = options.host
    if options.user:  # the backup may have another user, with another owner role
        found["user"] = options.user
        found.pop("options", None)
        if options.session:
            found["options"] = options.session
    return found


def look(arguments: Json, checksums: bool) -> Json:
    """Count the rows of every table of one database, in one transaction."""
    connection = psycopg2.connect(**arguments)
    try:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Count the rows of MLflow's databases")
    parser.add_argument("--auth-database", default="mlflow_auth")
    parser.add_argument("--no-checksums", action="store_true", help="only count")
    parser.add_argument("--host", default="", help="server instead of the server of the credential")
    parser.add_argument("--authority", default="", help="CA certificate of that server, PEM")
    parser.add_argument("--user", default="", help="another user, with the same password")
    parser.add_argument("--session", default="", help="that user's libpq options")
    parser.add_argument("--expected", default="", help="row counts of a backup, JSON")
    options = parser.parse_args(arguments)
    try:
        connect = arguments_of(Path(os.environ["CREDENTIALS_DIRECTORY"]), options)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
            if options.authority:
                authority.write(options.authority)
                authority.flush()
                connect["sslrootcert"] = authority.name
            names = dict.fromkeys((connect["dbname"], options.auth_database))
            found = {name: look({**connect, "dbname": name}, not options.no_checksums) for name in names}
        result: Json = {"version": importlib.metadata.version("mlflow"), "databases": found}
        if options.expected:
            result["compared"] = differences(json.loads(options.expected), found)
    except (RowsError, psycopg2.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
