# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What an upgrade does with MLflow's databases: compare schemas, copy, migrate, go back.

    heads      revisions in the databases and in this release's code, and whether the code knows them
    size       bytes of the databases; connections used and allowed
    copy       keep the databases as NAME_before and serve copies of them under their names
    restore    give the names back to what `copy` kept
    forget     drop what `copy` kept
    migrate    bring both databases to this release's schema
    counts     rows in the serving databases and in what `copy` kept, and the upgrade that kept it

Runs inside a release's virtual environment, with the server's credentials; prints one JSON document. Nobody may use the
databases during copy, restore and migrate: stop the server first. Sessions that are left are ended.

Killed at any point, a command leaves one of two states, told apart by the names of the databases, because the server
changes all the names in one transaction: either everything is as before, or everything is as after it. What else may
lie about (a copy that has not got its name yet, a database that lost its name and was to be dropped) has a name of its
own, and the next command drops it. The sessions of a command that was killed are ended by the next one: a server goes
on for a while with what a dead client asked for.

`--id` names the upgrade: with it, `copy` that was already done is not done again, and `restore` leaves alone what an
earlier upgrade kept. The databases are renamed and copied with the rights of a user of Cloud SQL: member of the role
that owns them, with CREATEDB.
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

# The key of the lock that one command at a time holds, in the maintenance database: "mlflow" as a number.
LOCK = 0x6D6C666C6F77
MAINTENANCE = "postgres"
MARK = "mlflow upgrade "
# The revision of MLflow's user database before it kept revisions (mlflow.server.auth.db).
INITIAL_AUTH_REVISION = "8606fa83a998"
# A server that is gone without a word (failover, lost route) is noticed after 90 s, not after hours. libpq's words.
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
# Above this size, copying files (with a checkpoint) is faster than copying through the write-ahead log.
LARGE = 64 * 1024 * 1024
COUNTED = {
    "tracking": ("runs", "experiments", "registered_models", "model_versions", "logged_models", "trace_info"),
    "auth": ("users",),
}


class SchemaError(Exception):
    """What went wrong, in words without secrets."""


@dataclass(frozen=True)
class Databases:
    """The server's two databases; one and the same where the setting says so."""

    tracking: str
    auth: str
    # SQLAlchemy's URL of the tracking database, with its password.
    url: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Each of them once."""
        return tuple(dict.fromkeys((self.tracking, self.auth)))

    def connect(self, database: str) -> Any:
        """Connect, each statement being its own transaction."""
        arguments, options = self.url.get_dialect()().create_connect_args(self.url.set(database=database))
        connection = psycopg2.connect(*arguments, **options, connect_timeout=30, application_name="mlflow-schema")
        connection.autocommit = True
        return connection


def read_databases(credentials: Path, auth_database: str) -> Databases:
    """Return the databases that the credentials name."""
    from sqlalchemy.engine import make_url

    # Isolated mode does not look for modules beside this file.
    spec = importlib.util.spec_from_file_location("launch", Path(__file__).with_name("launch.py"))
    if spec is None or spec.loader is None:
        raise SchemaError("launch.py is not beside schema.py")
    launch = importlib.util.module_from_spec(spec)
    sys.modules["launch"] = launch
    spec.loader.exec_module(launch)

    path = credentials / "mlflow.database-uri"
    if not path.exists():
        raise SchemaError("credential mlflow.database-uri is missing")
    uri = path.read_text(encoding="utf-8").rstrip("\r\n")
    try:
        tracking, _auth, _line = launch.split_database_uri(uri, auth_database)
    except launch.ConfigurationError as error:
        raise SchemaError(str(error)) from None
    if (credentials / "mlflow.database-ca").exists():
        os.environ["PGSSLROOTCERT"] = str(credentials / "mlflow.database-ca")
    url = make_url(tracking).set(password=make_url(uri).password)
    # In the URL, since migrations make engines of their own from it.
    url = url.set(query={**KEEPALIVES, **url.query})
    return Databases(tracking=str(url.database), auth=auth_database, url=url)


def before(name: str) -> str:
    """What `copy` keeps of a database."""
    return f"{name}_before"


def failed(name: str) -> str:
    """A database that `restore` keeps, since a server has written to it."""
    return f"{name}_failed"


def fresh(name: str) -> str:
    """A copy that is being made."""
    return f"{name}_fresh"


def discarded(name: str) -> str:
    """A database that is being dropped."""
    return f"{name}_discarded"


def mark_in(comment: str) -> str | None:
    """The upgrade that a database's comment names in its first line."""
    first = comment.split("\n", 1)[0]
    return first.removeprefix(MARK) if first.startswith(MARK) else None


class Server:
    """The session that renames, copies and drops databases, in the maintenance database."""

    def __init__(self, databases: Databases, *, patience: float, take_over: bool = False) -> None:
        for name in databases.names:
            # PostgreSQL cuts longer names, and two would become one.
            if len(discarded(name).encode()) > 63:
                raise SchemaError(f"the database's name {name} is too long: an upgrade adds up to 10 bytes to it")
        self.databases = databases
        self.patience = patience
        self._connection = databases.connect(MAINTENANCE)
        # A role that the connection's options set may lack CREATEDB; RESET ROLE would go back to that one.
        self.run("SET ROLE NONE")
        self.run("SET lock_timeout = '10s'")
        self._lock(take_over=take_over)

    def close(self) -> None:
        """End the session, and with it the lock."""
        self._connection.close()

    def run(self, statement: str | sql.Composable, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All the statements or none."""
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
            # Nobody starts a second command while one works: who still holds it has lost its client.
            if time.monotonic() > deadline:
                # After a rotation the holder is another user: without pg_signal_backend only waiting helps.
                with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                    self.run(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                        " AND pid <> pg_backend_pid() AND (classid::bigint << 32) + objid::bigint = %s",
                        [LOCK],
                    )
            if time.monotonic() > give_up:
                raise SchemaError("another command works on the databases and does not end")
            time.sleep(0.2)

    def locked(self) -> bool:
        """Whether this session still is the one that may work."""
        try:
            return bool(self.run("SELECT 1"))
        except psycopg2.Error:
            return False

    def existing(self) -> set[str]:
        """The names of all databases."""
        return {row[0] for row in self.run("SELECT datname FROM pg_database")}

    def sweep(self) -> None:
        """Drop what a killed command left: nothing serves under these names, and nothing goes back to them."""
        present = self.existing()
        for name in self.databases.names:
            for remains in (fresh(name), discarded(name)):
                if remains in present:
                    self.drop(remains)

    def drop(self, name: str) -> None:
        """Drop a database with whoever uses it."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self._insist([name], lambda: self.run(statement))

    def rename(self, names: Sequence[tuple[str, str]], then: Callable[[], None] = lambda: None) -> None:
        """Give databases other names, in order and all at once, with what `then` does."""

        def work() -> None:
            with self.transaction():
                for old, new in names:
                    self.run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
                then()

        self._insist([pair[0] for pair in names], work)

    def _insist(self, names: Sequence[str], work: Callable[[], object]) -> None:
        """Do what needs databases without sessions: end them, as often as somebody comes back."""
        deadline = time.monotonic() + self.patience
        while True:
            self._end_sessions(names)
            try:
                work()
                return
            except (psycopg2.errors.ObjectInUse, psycopg2.errors.LockNotAvailable) as error:
                if time.monotonic() > deadline:
                    message = str(error).splitlines()[0]
                    raise SchemaError(f"{message}: sessions come back faster than they are ended") from None
            time.sleep(0.2)

    def _end_sessions(self, names: Sequence[str]) -> None:
        rows = self.run(
            "SELECT pid FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'",
            [list(names)],
        )
        for (pid,) in rows:
            # One of the provider's own may not be ended; it leaves by itself or the work fails with its reason.
            with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                self.run("SELECT pg_terminate_backend(%s)", [pid])

    def comment(self, name: str) -> str:
        """A database's comment."""
        rows = self.run(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            [name],
        )
        return str(rows[0][0] or "") if rows else ""

    def set_comment(self, name: str, text: str) -> None:
        """Give a database a comment, or none."""
        self.run(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text or None)),
        )

    def mark(self, name: str) -> str | None:
        """The upgrade that kept this database."""
        return mark_in(self.comment(name))

    def duplicate(self, name: str) -> list[str]:
        """Copy a database under its fresh name, with owner, rights, settings; return the settings that were refused."""
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
                # FROM CURRENT takes the value as it is, lists included; SET LOCAL ends with the transaction.
                with self.transaction():
                    self.run("SELECT set_config(%s, %s, true)", [key, value])
                    self.run(sql.SQL("ALTER {} SET {} FROM CURRENT").format(target, sql.Identifier(key)))
            except psycopg2.errors.InsufficientPrivilege:
                refused.append(setting)
        return refused


def copy(server: Server, upgrade: str) -> dict[str, Any]:
    """Keep the databases as they are and put copies in their place."""
    names, started = server.databases.names, time.monotonic()
    server.sweep()
    present = server.existing()
    if upgrade and all(before(name) in present and server.mark(before(name)) == upgrade for name in names):
        return {"copied": [], "kept": [before(name) for name in names], "seconds": 0.0}
    # Room for the copies: what the last upgrade kept is of no use once this one starts.
    forget(server)
    refused = [setting for name in names for setting in server.duplicate(name)]
    if refused:
        print(f"These settings of the databases could not be copied: {', '.join(refused)}", file=sys.stderr)

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
    """Give the names back to what `copy` kept; drop, or keep under another name, what had them."""
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
    """Drop what `copy` kept."""
    server.sweep()
    present = server.existing()
    names = [name for name in server.databases.names if before(name) in present]
    # First the name, of all of them at once: half of an upgrade's databases are nothing to go back to.
    if names:
        server.rename([(before(name), discarded(name)) for name in names])
    server.sweep()
    return {"forgotten": [before(name) for name in names]}


# -- revisions


@dataclass(frozen=True)
class Schema:
    """One of the two schemas in the code of this release."""

    scripts: Path
    # Tables that may tell the revision in a database, the newest way first.
    tables: tuple[str, ...]

    def revisions(self) -> tuple[str, set[str]]:
        """The code's newest revision, and all that it knows."""
        from alembic.script import ScriptDirectory

        directory = ScriptDirectory(str(self.scripts))
        head = directory.get_current_head()
        if head is None:
            raise SchemaError(f"{self.scripts} has no revisions")
        return head, {script.revision for script in directory.walk_revisions()}


def schemas(databases: Databases) -> dict[str, tuple[str, Schema]]:
    """The schemas with the database of each."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.origin:
        raise SchemaError("MLflow is not installed in this environment")
    package = Path(spec.origin).parent
    # Before 3.6 the user database's revision was in the table that the tracking database uses too.
    tables: tuple[str, ...] = ("alembic_version_auth", "alembic_version")
    if databases.auth == databases.tracking:
        tables = tables[:1]
    return {
        "tracking": (databases.tracking, Schema(package / "store" / "db_migrations", ("alembic_version",))),
        "auth": (databases.auth, Schema(package / "server" / "auth" / "db" / "migrations", tables)),
    }


def revision_in(connection: Any, schema: Schema) -> str | None:
    """The revision of the database, or None when it is empty."""
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
    """Compare the revisions in the databases with the code's."""
    answer = {}
    for kind, (database, schema) in schemas(databases).items():
        with contextlib.closing(databases.connect(database)) as connection:
            revision = revision_in(connection, schema)
        head, known = schema.revisions()
        answer[kind] = {"database": revision, "code": head, "known": revision is None or revision in known}
    return answer


def migrate(databases: Databases, lock_timeout: float, locked: Callable[[], bool]) -> dict[str, Any]:
    """Bring both databases to the code's revisions."""
    started = time.monotonic()
    old = heads(databases)
    unknown = [f"{kind} {old[kind]['database']}" for kind in old if not old[kind]["known"]]
    if unknown:
        raise SchemaError(f"this release does not know the database's revision ({', '.join(unknown)}): it is older")

    import sqlalchemy
    from mlflow.store.db import utils

    # Every engine: the migrations of the user database make their own.
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
    """Bytes of the databases; connections used and allowed."""
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
    """Rows that people would miss, in the serving databases and in what `copy` kept."""

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
    """Do what the command line says."""
    if "CREDENTIALS_DIRECTORY" not in os.environ:
        raise SchemaError("there are no credentials: run it through systemd with LoadCredential=mlflow.database-uri")
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
    parser = argparse.ArgumentParser(description="What an upgrade does with MLflow's databases")
    parser.add_argument("command", choices=["heads", "size", "copy", "restore", "forget", "migrate", "counts"])
    parser.add_argument("--auth-database", default=os.environ.get("MLFLOW_LAUNCH_AUTH_DATABASE", "mlflow_auth"))
    parser.add_argument("--id", default="", help="the upgrade that copies, and the only one that is gone back on")
    parser.add_argument("--keep-failed", action="store_true", help="restore: keep what served as NAME_failed")
    parser.add_argument("--lock-timeout", type=float, default=10.0, help="migrate: seconds to wait for a lock")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to insist while sessions come back")
    options = parser.parse_args(arguments)
    # MLflow and alembic talk; what they say belongs to the journal, not between the lines of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer, code = perform(options), 0
        except SchemaError as error:
            answer, code = {"error": str(error)}, 1
        except Exception as error:
            # The driver's messages name host and user, never the password; the others' first line tells enough.
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
