# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The schemas in the databases and in the code of a release, and the migration of the databases."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import sql

from ..database_uri import Databases
from ..errors import FailedError

# Revision of an authentication database without a table of revisions (mlflow.server.auth.db).
INITIAL_AUTH_REVISION = "8606fa83a998"


@dataclass(frozen=True)
class Schema:
    """The schema of one database in the code of this release."""

    scripts: Path
    # Tables that may hold the revision of a database, the newest one first.
    tables: tuple[str, ...]

    def revisions(self) -> tuple[str, set[str]]:
        """Return the newest revision in the code, and all revisions."""
        from alembic.script import ScriptDirectory

        directory = ScriptDirectory(str(self.scripts))
        head = directory.get_current_head()
        if head is None:
            raise FailedError(f"{self.scripts} has no revisions")
        return head, {script.revision for script in directory.walk_revisions()}


def schemas(databases: Databases) -> dict[str, tuple[str, Schema]]:
    """Return each schema and the name of its database."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.origin:
        raise FailedError("MLflow is not installed in this environment")
    package = Path(spec.origin).parent
    # Before MLflow 3.6 both databases kept their revision in a table of the same name.
    tables: tuple[str, ...] = ("alembic_version_auth", "alembic_version")
    if databases.auth == databases.tracking:
        tables = tables[:1]
    return {
        "tracking": (databases.tracking, Schema(package / "store" / "db_migrations", ("alembic_version",))),
        "auth": (databases.auth, Schema(package / "server" / "auth" / "db" / "migrations", tables)),
    }


def revision_in(connection: Any, schema: Schema) -> str | None:
    """Return the revision of a database, None if the database is empty."""
    with connection.cursor() as cursor:
        for table in schema.tables:
            cursor.execute("SELECT to_regclass(%s)", [table])
            if cursor.fetchone()[0] is None:
                continue
            cursor.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(table)))
            if row := cursor.fetchone():
                return str(row[0])
        if "alembic_version_auth" in schema.tables:
            cursor.execute("SELECT to_regclass('users')")
            if cursor.fetchone()[0] is not None:
                return INITIAL_AUTH_REVISION
    return None


def heads(databases: Databases) -> dict[str, Any]:
    """Return the revisions in the databases and in the code, without the database of an own application."""
    answer = {}
    for kind, (database, schema) in schemas(databases).items():
        with contextlib.closing(databases.connect(database)) as connection:
            revision = revision_in(connection, schema)
        # An own application replaces MLflow's authentication, which then creates no tables.
        if kind == "auth" and revision is None and databases.application:
            continue
        head, known = schema.revisions()
        answer[kind] = {"database": revision, "code": head, "known": revision is None or revision in known}
    return answer


def migrate(databases: Databases, lock_timeout: float, locked: Callable[[], bool]) -> dict[str, Any]:
    """Migrate the databases of MLflow to the revisions of the code."""
    started = time.monotonic()
    old = heads(databases)
    unknown = [f"{kind} {old[kind]['database']}" for kind in old if not old[kind]["known"]]
    if unknown:
        text = ", ".join(unknown)
        raise FailedError(f"this release does not know the database's revision ({text}): the release is older")

    import sqlalchemy
    from mlflow.store.db import utils

    # For every engine, because the migrations of the authentication database create engines.
    @sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
    def set_lock_timeout(connection: Any, _record: object) -> None:
        if not locked():
            raise FailedError("another command has taken over")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [f"{int(lock_timeout * 1000)}ms"])
        connection.commit()

    def upgrade(kind: str) -> None:
        name = databases.tracking if kind == "tracking" else databases.auth
        engine = sqlalchemy.create_engine(databases.url.set(database=name), poolclass=sqlalchemy.pool.NullPool)
        if kind == "auth":
            from mlflow.server.auth.db.utils import migrate as migrate_auth

            migrate_auth(engine, "head")
        elif old[kind]["database"] is None:
            utils._initialize_tables(engine)
        else:
            utils._upgrade_db(engine)

    for kind in old:
        if old[kind]["database"] != old[kind]["code"]:
            upgrade(kind)
    new = heads(databases)
    for kind, state in new.items():
        if state["database"] != state["code"]:
            raise FailedError(f"after the migration {kind} is at {state['database']}, not at {state['code']}")
    return {
        **{kind: {"from": old[kind]["database"], "to": new[kind]["database"]} for kind in new},
        "seconds": round(time.monotonic() - started, 3),
    }
