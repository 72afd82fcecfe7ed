# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Database operations of an upgrade: compare schemas, copy, migrate, restore.

    heads      revisions in the databases and in the code of this release, and whether the code knows them
    size       bytes of the databases; connections used and allowed
    copy       keep the databases as NAME_before and put copies under their names
    restore    give the kept databases their names again
    forget     drop the kept databases
    migrate    migrate both databases to the schema of this release
    counts     rows in the active and in the kept databases, and the upgrade that kept them

Runs in the virtual environment of a release, with the credentials of the server; prints one JSON document. Stop the
server before copy, restore and migrate. These commands end all sessions of the databases.

A command can be killed at any point. PostgreSQL renames all databases in one transaction, so the names show one of two
states: before the command, or after it. Unfinished copies and databases to drop have separate names, and the next
command drops them. The next command also ends the sessions of a killed one, because a PostgreSQL server continues the
statement of a dead client for some time.

`--id` names the upgrade. With it, a repeated `copy` does nothing, and `restore` ignores the databases of an earlier
upgrade. The PostgreSQL user needs CREATEDB and membership in the role that owns the databases, as in Cloud SQL.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2 import sql

# Key of the advisory lock in the maintenance database, which limits this program to one process: "mlflow" as a number.
LOCK = 0x6D6C666C6F77
MAINTENANCE = "postgres"
MARK = "mlflow upgrade "
# Revision of an authentication database without a table of revisions (mlflow.server.auth.db).
INITIAL_AUTH_REVISION = "8606fa83a998"
# Options of libpq: detect a lost connection (failover, lost route) after 90 s instead of hours.
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
# Above this size, copying files (with a checkpoint) is faster than copying through the write-ahead log.
LARGE = 64 * 1024 * 1024
COUNTED = {
    "tracking": ("runs", "experiments", "registered_models", "model_versions", "logged_models", "trace_info"),
    "auth": ("users",),
}


class SchemaError(Exception):
    """A failure with a message that holds no secrets."""


@dataclass(frozen=True)
class Databases:
    """The two databases of the server. Both names may be the same."""

    tracking: str
    auth: str
    # SQLAlchemy's URL of the tracking database, with its password.
    url: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The names without duplicates."""
        return tuple(dict.fromkeys((self.tracking, self.auth)))

    def connect(self, database: str) -> Any:
        """Connect with autocommit."""
        arguments, options = self.url.get_dialect()().create_connect_args(self.url.set(database=database))
        connection = psycopg2.connect(*arguments, **options, connect_timeout=30, application_name="mlflow-schema")
        connection.autocommit = True
        return connection


def read_databases(credentials: Path, auth_database: str) -> Databases:
    """Return the databases that the credentials name."""
    from sqlalchemy.engine import make_url

    # Python's isolated mode does not import modules from the directory of this file.
    spec = importlib.util.spec_from_file_location("launch", Path(__file__).with_name("launch.py"))
    if spec is None or spec.loader is None:
        raise SchemaError("launch.py is not in the directory of schema.py. Run site.yml")
    launch = importlib.util.module_from_spec(spec)
    sys.modules["launch"] = launch
    spec.loader.exec_module(launch)

    path = credentials / "mlflow.database-uri"
    if not path.exists():
        raise SchemaError("credential mlflow.database-uri is missing. Run site.yml")
    uri = path.read_text(encoding="utf-8").rstrip("\r\n")
    try:
        tracking, _auth, _line = launch.split_database_uri(uri, auth_database)
    except launch.ConfigurationError as error:
        raise SchemaError(str(error)) from None
    if (credentials / "mlflow.database-ca").exists():
        os.environ["PGSSLROOTCERT"] = str(credentials / "mlflow.database-ca")
    url = make_url(tracking).set(password=make_url(uri).password)
    # In the URL, because migrations create engines from it.
    url = url.set(query={**KEEPALIVES, **url.query})
    return Databases(tracking=str(url.database), auth=auth_database, url=url)


def before(name: str) -> str:
    """Return the name under which `copy` keeps a database."""
    return f"{name}_before"


def failed(name: str) -> str:
    """Return the name under which `restore` keeps a database that a server has written to."""
    return f"{name}_failed"


def fresh(name: str) -> str:
    """Return the name of an unfinished copy."""
    return f"{name}_fresh"


def discarded(name: str) -> str:
    """Return the name of a database that is going to be dropped."""
    return f"{name}_discarded"


def mark_in(comment: str) -> str | None:
    """Return the upgrade in the first line of a database comment."""
    first = comment.split("\n", 1)[0]
    return first.removeprefix(MARK) if first.startswith(MARK) else None


class Server:
    """The session in the maintenance database that renames, copies and drops databases."""

    def __init__(self, databases: Databases, *, patience: float, take_over: bool = False) -> None:
        for name in databases.names:
            # PostgreSQL truncates longer names, so two names could become equal.
            if len(discarded(name).encode()) > 63:
                raise SchemaError(f"the database name {name} is too long: an upgrade appends up to 10 bytes")
        self.databases = databases
        self.patience = patience
        self._connection = databases.connect(MAINTENANCE)
        # A role from the connection options may lack CREATEDB, and RESET ROLE would select that role again.
        self.run("SET ROLE NONE")
        self.run("SET lock_timeout = '10s'")
        self._lock(take_over=take_over)

    def close(self) -> None:
        """End the session, which releases the lock."""
        self._connection.close()

    def run(self, statement: str | sql.Composable, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run statements in one transaction."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            if not self._connection.closed:
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def _lock(self, *, take_over: bool) -> None:
        deadline = time.monotonic() + (0 if take_over else 15)
        give_up = deadline + self.patience
        while not self.run("SELECT pg_try_advisory_lock(%s)", [LOCK])[0][0]:
            # Commands never run in parallel, so the session that holds the lock has lost its client.
            if time.monotonic() > deadline:
                # After a rotation the holder is another user: without pg_signal_backend only waiting helps.
                with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                    self.run(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                        " AND pid <> pg_backend_pid() AND (classid::bigint << 32) + objid::bigint = %s",
                        [LOCK],
                    )
            if time.monotonic() > give_up:
                raise SchemaError("another command holds the lock of the databases and does not end. Try again later")
            time.sleep(0.2)

    def locked(self) -> bool:
        """Return whether this session still exists and so holds the lock."""
        try:
            return bool(self.run("SELECT 1"))
        except psycopg2.Error:
            return False

    def existing(self) -> set[str]:
        """Return the names of all databases."""
        return {row[0] for row in self.run("SELECT datname FROM pg_database")}

    def sweep(self) -> None:
        """Drop the temporary databases of a killed command. They are not used by a server or for a rollback."""
        present = self.existing()
        for name in self.databases.names:
            for remains in (fresh(name), discarded(name)):
                if remains in present:
                    self.drop(remains)

    def drop(self, name: str) -> None:
        """Drop a database and end its sessions."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self._insist([name], lambda: self.run(statement))

    def rename(self, names: Sequence[tuple[str, str]], then: Callable[[], None] = lambda: None) -> None:
        """Rename databases in order and call `then`, in one transaction."""

        def work() -> None:
            with self.transaction():
                for old, new in names:
                    self.run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
                then()

        self._insist([pair[0] for pair in names], work)

    def _insist(self, names: Sequence[str], work: Callable[[], object]) -> None:
        """End the sessions of databases and call `work`; repeat while new sessions prevent the work."""
        deadline = time.monotonic() + self.patience
        while True:
            self._end_sessions(names)
            try:
                work()
                return
            except (psycopg2.errors.ObjectInUse, psycopg2.errors.LockNotAvailable) as error:
                if time.monotonic() > deadline:
                    message = str(error).splitlines()[0]
                    raise SchemaError(
                        f"{message}: clients reconnect faster than their sessions are ended. Stop these clients"
                    ) from None
            time.sleep(0.2)

    def _end_sessions(self, names: Sequence[str]) -> None:
        rows = self.run(
            "SELECT pid FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'",
            [list(names)],
        )
        for (pid,) in rows:
            # Sessions of the provider cannot be ended. If such a session does not end itself, the work fails.
            with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                self.run("SELECT pg_terminate_backend(%s)", [pid])

    def comment(self, name: str) -> str:
        """Return the comment of a database."""
        rows = self.run(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            [name],
        )
        return str(rows[0][0] or "") if rows else ""

    def set_comment(self, name: str, text: str) -> None:
        """Set the comment of a database; an empty text removes the comment."""
        self.run(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text or None)),
        )

    def mark(self, name: str) -> str | None:
        """Return the upgrade that kept a database."""
        return mark_in(self.comment(name))

    def duplicate(self, name: str) -> list[str]:
        """Copy a database with owner, privileges and settings; return the settings that PostgreSQL refused."""
        rows = self.run(
            "SELECT pg_get_userbyid(datdba), pg_database_size(oid), current_setting('server_version_num')::int"
            " FROM pg_database WHERE datname = %s",
            [name],
        )
        if not rows:
            raise SchemaError(f"there is no database {name}")
        owner, size, version = rows[0]
        strategy = " STRATEGY = FILE_COPY" if version >= 150000 and size > LARGE else ""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}" + strategy).format(
            sql.Identifier(fresh(name)), sql.Identifier(name), sql.Identifier(owner)
        )
        self._insist([name], lambda: self.run(statement))
        self._copy_rights(name)
        if comment := self.comment(name):
            self.set_comment(fresh(name), comment)
        return self._copy_settings(name)

    def _copy_rights(self, name: str) -> None:
        rows = self.run(
            "SELECT pg_get_userbyid(nullif(grantee, 0)), privilege_type, is_grantable"
            " FROM pg_database, aclexplode(datacl) WHERE datname = %s",
            [name],
        )
        if not rows:
            return
        target = sql.Identifier(fresh(name))
        self.run(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(target))
        for grantee, privilege, grantable in rows:
            who = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
            suffix = " WITH GRANT OPTION" if grantable else ""
            grant = sql.SQL("GRANT " + privilege + " ON DATABASE {} TO {}" + suffix)
            self.run(grant.format(target, who))

    def _copy_settings(self, name: str) -> list[str]:
        rows = self.run(
            "SELECT rolname, unnest(setconfig) FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase"
            " LEFT JOIN pg_roles ON pg_roles.oid = setrole WHERE datname = %s",
            [name],
        )
        refused = []
        for role, setting in rows:
            key, value = setting.split("=", 1)
            target = sql.SQL("DATABASE {}").format(sql.Identifier(fresh(name)))
            if role:
                target = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(fresh(name)))
            try:
                # FROM CURRENT copies any value, also a list. The local value of set_config() ends with the transaction.
                with self.transaction():
                    self.run("SELECT set_config(%s, %s, true)", [key, value])
                    self.run(sql.SQL("ALTER {} SET {} FROM CURRENT").format(target, sql.Identifier(key)))
            except psycopg2.errors.InsufficientPrivilege:
                refused.append(setting)
        return refused


def copy(server: Server, upgrade: str) -> dict[str, Any]:
    """Keep the databases under other names and put copies in their place."""
    names, started = server.databases.names, time.monotonic()
    server.sweep()
    present = server.existing()
    if upgrade and all(before(name) in present and server.mark(before(name)) == upgrade for name in names):
        return {"copied": [], "kept": [before(name) for name in names], "seconds": 0.0}
    # Free disk space for the copies. The databases of the last upgrade are not needed once a new upgrade starts.
    forget(server)
    refused = [setting for name in names for setting in server.duplicate(name)]
    if refused:
        print(f"PostgreSQL refused to copy these database settings: {', '.join(refused)}", file=sys.stderr)

    def leave_mark() -> None:
        for name in names:
            comment = server.comment(before(name))
            server.set_comment(before(name), f"{MARK}{upgrade}" + (f"\n{comment}" if comment else ""))

    exchange = [pair for name in names for pair in ((name, before(name)), (fresh(name), name))]
    server.rename(exchange, leave_mark)
    return {
        "copied": list(names),
        "kept": [before(name) for name in names],
        "seconds": round(time.monotonic() - started, 3),
    }


def restore(server: Server, upgrade: str, *, keep_failed: bool) -> dict[str, Any]:
    """Give the kept databases their names again. Drop the databases in their place, or keep them as NAME_failed."""
    started = time.monotonic()
    server.sweep()
    present = server.existing()
    names = [
        name
        for name in server.databases.names
        if before(name) in present and (not upgrade or server.mark(before(name)) == upgrade)
    ]
    kept = [name for name in names if keep_failed and name in present]
    exchange = [(failed(name), discarded(name)) for name in kept if failed(name) in present]
    for name in names:
        if name in present:
            exchange.append((name, failed(name) if keep_failed else discarded(name)))
        exchange.append((before(name), name))

    def remove_mark() -> None:
        for name in names:
            if server.mark(name) is not None:
                server.set_comment(name, server.comment(name).partition("\n")[2])

    if exchange:
        server.rename(exchange, remove_mark)
    server.sweep()
    return {
        "restored": names,
        "failed": [failed(name) for name in kept],
        "seconds": round(time.monotonic() - started, 3),
    }


def forget(server: Server) -> dict[str, Any]:
    """Drop the kept databases."""
    server.sweep()
    present = server.existing()
    names = [name for name in server.databases.names if before(name) in present]
    # Rename all databases in one transaction first, because a rollback needs both databases or none.
    if names:
        server.rename([(before(name), discarded(name)) for name in names])
    server.sweep()
    return {"forgotten": [before(name) for name in names]}


# -- revisions


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
            raise SchemaError(f"{self.scripts} has no revisions")
        return head, {script.revision for script in directory.walk_revisions()}


def schemas(databases: Databases) -> dict[str, tuple[str, Schema]]:
    """Return each schema and the name of its database."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.origin:
        raise SchemaError("MLflow is not installed in this environment")
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
    """Return the revisions in the databases and in the code."""
    answer = {}
    for kind, (database, schema) in schemas(databases).items():
        with contextlib.closing(databases.connect(database)) as connection:
            revision = revision_in(connection, schema)
        head, known = schema.revisions()
        answer[kind] = {"database": revision, "code": head, "known": revision is None or revision in known}
    return answer


def migrate(databases: Databases, lock_timeout: float, locked: Callable[[], bool]) -> dict[str, Any]:
    """Migrate both databases to the revisions of the code."""
    started = time.monotonic()
    old = heads(databases)
    unknown = [f"{kind} {old[kind]['database']}" for kind in old if not old[kind]["known"]]
    if unknown:
        text = ", ".join(unknown)
        raise SchemaError(f"this release does not know the database's revision ({text}): the release is older")

    import sqlalchemy
    from mlflow.store.db import utils

    # For every engine, because the migrations of the authentication database create engines.
    @sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
    def set_lock_timeout(connection: Any, _record: object) -> None:
        if not locked():
            raise SchemaError("another command has taken over")
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
            raise SchemaError(f"after the migration {kind} is at {state['database']}, not at {state['code']}")
    return {
        **{kind: {"from": old[kind]["database"], "to": new[kind]["database"]} for kind in new},
        "seconds": round(time.monotonic() - started, 3),
    }


# -- numbers


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

    with contextlib.closing(databases.connect(MAINTENANCE)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = ANY(%s)",
            [[before(name) for name in databases.names]],
        )
        marks = [mark_in(row[0] or "") for row in cursor.fetchall()]
    kept = len(marks) == len(databases.names)
    upgrade = marks[0] if kept and len(set(marks)) == 1 else None
    return {"serving": both(str), "before": both(before) if kept else None, "upgrade": upgrade}


def perform(options: argparse.Namespace) -> dict[str, Any]:
    """Run the command."""
    if "CREDENTIALS_DIRECTORY" not in os.environ:
        raise SchemaError("there are no credentials. Use systemd-run with LoadCredential=mlflow.database-uri")
    databases = read_databases(Path(os.environ["CREDENTIALS_DIRECTORY"]), options.auth_database)
    reading: dict[str, Callable[[Databases], dict[str, Any]]] = {"heads": heads, "size": size, "counts": counts}
    if options.command in reading:
        return reading[options.command](databases)
    server = Server(databases, patience=options.patience, take_over=options.command == "restore")
    try:
        if options.command == "copy":
            return copy(server, options.id)
        if options.command == "restore":
            return restore(server, options.id, keep_failed=options.keep_failed)
        if options.command == "forget":
            return forget(server)
        return migrate(databases, options.lock_timeout, server.locked)
    finally:
        server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Database operations of an upgrade of MLflow")
    parser.add_argument("command", choices=["heads", "size", "copy", "restore", "forget", "migrate", "counts"])
    parser.add_argument("--auth-database", default=os.environ.get("MLFLOW_LAUNCH_AUTH_DATABASE", "mlflow_auth"))
    parser.add_argument("--id", default="", help="copy: the upgrade; restore: only the databases of this upgrade")
    parser.add_argument("--keep-failed", action="store_true", help="restore: keep the replaced ones as NAME_failed")
    parser.add_argument("--lock-timeout", type=float, default=10.0, help="migrate: seconds to wait for a lock")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to retry while clients reconnect")
    options = parser.parse_args(arguments)
    # MLflow and alembic print to standard output, which is reserved for the JSON document.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer, code = perform(options), 0
        except SchemaError as error:
            answer, code = {"error": str(error)}, 1
        except Exception as error:
            # First line only. Messages of the driver name host and user, never the password.
            cause = getattr(error, "orig", None) or error
            text = str(cause).strip().splitlines()
            answer, code = {"error": f"{type(cause).__name__}: {text[0] if text else ''}"}, 1
            import traceback

            traceback.print_exc()
    print(json.dumps(answer))
    if code:
        print(answer["error"], file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
