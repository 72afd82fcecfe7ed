# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rotate the database users and the administrator password: prepare the owner role, end sessions, set the password.

Runs in the Python of the release as the user of the service, with the credentials mlflow.database-uri,
mlflow.database-ca and mlflow.admin-password. Every command runs as the user of the URI. Prints one JSON object without
secrets. Works on PostgreSQL 13 and newer. Since version 16, CREATEROLE alone does not include grants, so the program
checks the privileges.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

# Tables, views, sequences and other relations with an owner of their own. The sequence of a column follows its table.
LOOSE = """
select n.nspname, c.relname
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relowner = (select oid from pg_roles where rolname = session_user)
  and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
  and not (c.relkind = 'S' and exists (
    select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')))
order by 1, 2
"""
# Other objects of the user in this database: functions, types, schemas.
REST = """
select count(*) from pg_shdepend
where refclassid = 'pg_authid'::regclass and deptype = 'o'
  and refobjid = (select oid from pg_roles where rolname = session_user)
  and dbid = (select oid from pg_database where datname = current_database())
"""
# Without pg_read_all_stats, address and type of another user's session are null. Such a session counts as local.
SESSIONS = """
select count(*) filter (where here), count(*) filter (where not here) from (
  select coalesce(client_addr = inet_client_addr(), true) as here from pg_stat_activity
  where usename = %s and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
) as found
"""
END = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where usename = %s and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
"""
# Suffixes of the databases that an upgrade or a rollback keeps. A rollback can make them active again.
KEPT = ("", "_before", "_failed")
BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)
Json = dict[str, Any]


class RotationError(Exception):
    """A failure that a person must resolve. The message contains no secret."""


class Database:
    """Open sessions in the databases of one server, as the user of the credential."""

    def __init__(self, credentials: Path) -> None:
        self._credentials = credentials
        try:
            self._url = make_url(self.credential("mlflow.database-uri"))
        except ArgumentError:
            # The original message contains the whole URI.
            raise RotationError("credential mlflow.database-uri is not a database URI") from None
        self.name = str(self._url.database)

    def credential(self, name: str) -> str:
        """Return the text of a credential."""
        path = self._credentials / name
        if not path.exists():
            raise RotationError(f"credential {name} is missing: see systemctl status mlflow-credentials.service")
        return path.read_text(encoding="utf-8").rstrip("\r\n")

    @contextmanager
    def session(self, database: str = "", *, as_owner: bool = False) -> Iterator[Any]:
        """Open a session in autocommit. Without `as_owner`, it acts as the user, not as the role in the URI."""
        arguments = self._url.translate_connect_args(username="user", database="dbname")
        arguments |= {key: value for key, value in self._url.query.items() if isinstance(value, str)}
        arguments |= {"application_name": "rotate", "connect_timeout": 20}
        if database:
            arguments["dbname"] = database
        if not as_owner:
            arguments.pop("options", None)
        authority = self._credentials / "mlflow.database-ca"
        if authority.exists():
            arguments["sslrootcert"] = str(authority)
        connection = psycopg2.connect(**arguments)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def value(cursor: Any, query: Any, *parameters: Any) -> Any:
    """Return the first column of the first row, or None without rows."""
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    return row[0] if row else None


def has_role(cursor: Any, name: str) -> bool:
    """Return whether a role exists."""
    return bool(value(cursor, "select count(*) from pg_roles where rolname = %s", name))


def may(cursor: Any, user: str, role: str, *, grant: bool = False) -> bool:
    """Return whether a user can act as a role. Since PostgreSQL 16, membership alone is not enough."""
    wanted = (
        ["USAGE", "SET"] if value(cursor, "select current_setting('server_version_num')::int") >= 160000 else ["USAGE"]
    )
    if grant:
        wanted.append("MEMBER WITH ADMIN OPTION")
    return all(value(cursor, "select pg_has_role(%s, %s, %s)", user, role, each) for each in wanted)


def missing(cursor: Any, owner: str, users: Sequence[str]) -> list[str]:
    """List the missing parts of the owner role and its memberships, for the report."""
    if not has_role(cursor, owner):
        return [f"role {owner}", *(f"{owner} for {user}" for user in users)]
    return [f"{owner} for {user}" for user in users if has_role(cursor, user) and not may(cursor, user, owner)]


def join(cursor: Any, owner: str, user: str) -> None:
    """Create the owner role, and grant it to the session user and to the other user."""
    me = value(cursor, "select session_user")
    if not has_role(cursor, owner):
        cursor.execute(sql.SQL("create role {} nologin").format(sql.Identifier(owner)))
    names = {"owner": sql.Identifier(owner), "me": sql.Identifier(me), "user": sql.Identifier(user)}
    if not may(cursor, me, owner):
        # No admin option: the creator of the role has it already, and cannot grant it to itself.
        cursor.execute(sql.SQL("grant {owner} to {me}").format(**names))
    if not may(cursor, user, owner, grant=True):
        # With the admin option, because this user runs the next rotation.
        try:
            cursor.execute(sql.SQL("grant {owner} to {user} with admin option").format(**names))
        except errors.InvalidGrantOperation:
            # The session user got its admin option from this user, who therefore has it already.
            cursor.execute(sql.SQL("grant {owner} to {user}").format(**names))
    for name in (me, user):
        if not may(cursor, name, owner):
            raise RotationError(f"{name} cannot act as {owner} although it was granted: look at \\drg {name} in psql")


def open_schema(cursor: Any, owner: str) -> None:
    """Allow the owner to create tables in the schema."""
    allowed = "select has_schema_privilege(%s, 'public', 'USAGE') and has_schema_privilege(%s, 'public', 'CREATE')"
    if not value(cursor, allowed, owner, owner):
        # Without the privilege to grant, PostgreSQL only warns. The check below finds the failure.
        cursor.execute(sql.SQL("grant usage, create on schema public to {}").format(sql.Identifier(owner)))
    if not value(cursor, allowed, owner, owner):
        database, me = value(cursor, "select current_database()"), value(cursor, "select session_user")
        raise RotationError(
            f"{owner} may not make tables in {database}, and {me} may not allow it."
            f" As the database's owner: GRANT USAGE, CREATE ON SCHEMA public TO {owner}"
        )


def hand_over(
    cursor: Any,
    owner: str,
    *,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Change the owner of the session user's objects in this database; return the number of objects.

    One object at a time: with a single lock, the command delays other sessions at most for the lock timeout and cannot
    cause a deadlock. Both users can use the objects of both owners at any time.
    """
    deadline, moved, pause = clock() + patience, 0, 0.05
    cursor.execute("set lock_timeout = '250ms'")
    while True:
        cursor.execute(LOOSE)
        loose = cursor.fetchall()
        for schema, name in loose:
            command = sql.SQL("alter table {} owner to {}").format(sql.Identifier(schema, name), sql.Identifier(owner))
            try:
                cursor.execute(command)
                moved += 1
            except BUSY:
                continue
        if not loose:
            break
        if clock() > deadline:
            raise RotationError(
                f"{len(loose)} tables, {loose[0][1]} among them, were in use for {patience:.0f} s"
                " without a pause of 0.25 s. Nothing is lost: run again when there is less to do"
            )
        sleep(pause)
        pause = min(pause * 2, 2.0)
    rest = int(value(cursor, REST))
    if rest:
        # Less than deadlock_timeout (1 s), so that PostgreSQL never cancels a client's query because of this command.
        cursor.execute("set statement_timeout = '900ms'")
        cursor.execute(sql.SQL("reassign owned by session_user to {}").format(sql.Identifier(owner)))
    return moved + rest


def prepare(database: Database, options: argparse.Namespace) -> Json:
    """Create the owner role, grant it to both users, and change the owner of the current user's objects."""
    wanted = [name + kept for name in dict.fromkeys((database.name, options.auth_database)) for kept in KEPT]
    with database.session() as cursor:
        cursor.execute("select datname from pg_database where datname = any(%s) order by 1", (wanted,))
        names = [name for (name,) in cursor.fetchall()]
        lacking = missing(cursor, options.owner, [value(cursor, "select session_user"), options.user])
        if not options.dry_run:
            join(cursor, options.owner, options.user)
    objects = {}
    for name in names:
        with database.session(name) as cursor:
            if options.dry_run:
                cursor.execute(LOOSE)
                objects[name] = len(cursor.fetchall())
                continue
            open_schema(cursor, options.owner)
            objects[name] = hand_over(cursor, options.owner, patience=options.patience)
    return {"missing": lacking, "objects": objects}


def sessions(database: Database, options: argparse.Namespace) -> Json:
    """Count the sessions of a user, on this VM and elsewhere."""
    with database.session() as cursor:
        cursor.execute(SESSIONS, (options.user,))
        here, elsewhere = cursor.fetchone()
    return {"here": here, "elsewhere": elsewhere}


def cut(database: Database, options: argparse.Namespace) -> Json:
    """End the sessions of a user. If the server does not allow this, wait for their end."""
    with database.session() as cursor:
        me = value(cursor, "select session_user")
        if me == options.user:
            raise RotationError(f"{me} is the user that the server uses")
        try:
            return {"cut": value(cursor, END, options.user)}
        except errors.InsufficientPrivilege:
            return {"cut": 0, "ended": wait_idle(cursor, options.user, patience=options.patience)}


def wait_idle(
    cursor: Any,
    user: str,
    *,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until a user has no session; return the number of ended sessions. The old password opens no new session."""
    deadline, first = clock() + patience, None
    while True:
        cursor.execute(SESSIONS, (user,))
        left = sum(cursor.fetchone())
        first = left if first is None else first
        if not left:
            return first
        if clock() > deadline:
            raise RotationError(
                f"{left} sessions of {user} are open after {patience:.0f} s, and the server does not let"
                f" {value(cursor, 'select session_user')} end them (it needs the role pg_signal_backend)."
                f" The password of {user} is changed already, so no new session can begin."
                " Close those clients, or restart the Cloud SQL instance, and rotate again"
            )
        sleep(1.0)


def administrator(database: Database, options: argparse.Namespace) -> Json:
    """Set the password of MLflow's administrator to the credential's password.

    Writes to the database directly, because MLflow's API would clear its cache of verified passwords. Processes with
    the former password in their cache accept it until the entry expires or the process ends: the overlap for clients.
    """
    from werkzeug.security import check_password_hash, generate_password_hash

    password = database.credential("mlflow.admin-password")
    with database.session(options.auth_database, as_owner=True) as cursor:
        known = value(cursor, "select password_hash from users where username = %s", options.username)
        if known is None:
            raise RotationError(f"MLflow has no user {options.username}: see mlflow_admin_username")
        if check_password_hash(known, password):
            return {"changed": False}
        hashed = generate_password_hash(password)
        cursor.execute("update users set password_hash = %s where username = %s", (hashed, options.username))
    return {"changed": True}


COMMANDS: dict[str, Callable[[Database, argparse.Namespace], Json]] = {
    "prepare": prepare,
    "sessions": sessions,
    "cut": cut,
    "administrator": administrator,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Rotate the database users and the administrator password")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--user", default="", help="the other login user")
    parser.add_argument("--owner", default="", help="the role that owns all objects")
    parser.add_argument("--auth-database", default="mlflow_auth")
    parser.add_argument("--username", default="admin", help="MLflow's administrator")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for locks or sessions")
    parser.add_argument("--dry-run", action="store_true", help="only report the planned changes")
    options = parser.parse_args(arguments)
    try:
        answer = COMMANDS[options.command](Database(Path(os.environ["CREDENTIALS_DIRECTORY"])), options)
    except (RotationError, psycopg2.Error) as error:
        print(f"{options.command}: {str(error).strip()}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
