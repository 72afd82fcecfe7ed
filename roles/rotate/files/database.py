# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What a rotation needs of the database: an owner that outlives users, sessions, the administrator's password.

Runs in the release's Python as the service's user, with the credentials mlflow.database-uri, mlflow.database-ca and
mlflow.admin-password; the URI's user does all of it. Prints one JSON object, which never holds a secret.
Works on PostgreSQL 13 and newer. From 16 on CREATEROLE alone gives no right to grant, so rights are looked at.
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

# Tables, views, sequences and what else has an owner of its own in pg_class. A column's sequence follows its table.
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
# Everything else that belongs to the user here: functions, types, schemas.
REST = """
select count(*) from pg_shdepend
where refclassid = 'pg_authid'::regclass and deptype = 'o'
  and refobjid = (select oid from pg_roles where rolname = session_user)
  and dbid = (select oid from pg_database where datname = current_database())
"""
# Without pg_read_all_stats, address and kind of another user's session are null: then it counts as one of this machine.
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
# An upgrade keeps the databases of before it under such names, and a rollback serves them again.
KEPT = ("", "_before", "_failed")
BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)
Json = dict[str, Any]


class RotationError(Exception):
    """Something that a person has to put right, in words."""


class Database:
    """Sessions in the databases of one server, as the user of the credential."""

    def __init__(self, credentials: Path) -> None:
        self._credentials = credentials
        try:
            self._url = make_url(self.credential("mlflow.database-uri"))
        except ArgumentError:
            # The message of the original holds the whole URI.
            raise RotationError("credential mlflow.database-uri is not a database URI") from None
        self.name = str(self._url.database)

    def credential(self, name: str) -> str:
        """A credential's text."""
        path = self._credentials / name
        if not path.exists():
            raise RotationError(f"credential {name} is missing: see systemctl status mlflow-credentials.service")
        return path.read_text(encoding="utf-8").rstrip("\r\n")

    @contextmanager
    def session(self, database: str = "", *, as_owner: bool = False) -> Iterator[Any]:
        """A session in autocommit. Without `as_owner` it acts as the user itself, not as the URI's role."""
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
    """The first column of the first row; None where there is none."""
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    return row[0] if row else None


def has_role(cursor: Any, name: str) -> bool:
    """Tell whether a role exists."""
    return bool(value(cursor, "select count(*) from pg_roles where rolname = %s", name))


def may(cursor: Any, user: str, role: str, *, grant: bool = False) -> bool:
    """Tell whether a user can act as a role, which from PostgreSQL 16 on is more than to be its member."""
    wanted = (
        ["USAGE", "SET"] if value(cursor, "select current_setting('server_version_num')::int") >= 160000 else ["USAGE"]
    )
    if grant:
        wanted.append("MEMBER WITH ADMIN OPTION")
    return all(value(cursor, "select pg_has_role(%s, %s, %s)", user, role, each) for each in wanted)


def missing(cursor: Any, owner: str, users: Sequence[str]) -> list[str]:
    """What of the owner and its memberships is not there yet, in words."""
    if not has_role(cursor, owner):
        return [f"role {owner}", *(f"{owner} for {user}" for user in users)]
    return [f"{owner} for {user}" for user in users if has_role(cursor, user) and not may(cursor, user, owner)]


def join(cursor: Any, owner: str, user: str) -> None:
    """Make the owner role, and let this session's user and another one act as it."""
    me = value(cursor, "select session_user")
    if not has_role(cursor, owner):
        cursor.execute(sql.SQL("create role {} nologin").format(sql.Identifier(owner)))
    names = {"owner": sql.Identifier(owner), "me": sql.Identifier(me), "user": sql.Identifier(user)}
    if not may(cursor, me, owner):
        # Not with the admin option: who made the role has it already, and cannot give it to itself.
        cursor.execute(sql.SQL("grant {owner} to {me}").format(**names))
    if not may(cursor, user, owner, grant=True):
        # With it: the next rotation is that user's.
        try:
            cursor.execute(sql.SQL("grant {owner} to {user} with admin option").format(**names))
        except errors.InvalidGrantOperation:
            # That user is where our own right to grant comes from, and so has it.
            cursor.execute(sql.SQL("grant {owner} to {user}").format(**names))
    for name in (me, user):
        if not may(cursor, name, owner):
            raise RotationError(f"{name} cannot act as {owner} although it was granted: look at \\drg {name} in psql")


def open_schema(cursor: Any, owner: str) -> None:
    """Let the owner make tables in the schema."""
    allowed = "select has_schema_privilege(%s, 'public', 'USAGE') and has_schema_privilege(%s, 'public', 'CREATE')"
    if not value(cursor, allowed, owner, owner):
        # Without the right to grant this is no error but a warning.
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
    """Give what the session's user owns here to the owner; return how many objects.

    One object at a time: whoever holds one lock and waits for no other is in nobody's way for longer than the wait,
    and can be no part of a deadlock. Both users may use the objects of both owners all the while.
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
        # Below the second after which PostgreSQL looks for deadlocks, so that no request pays for the end of one.
        cursor.execute("set statement_timeout = '900ms'")
        cursor.execute(sql.SQL("reassign owned by session_user to {}").format(sql.Identifier(owner)))
    return moved + rest


def prepare(database: Database, options: argparse.Namespace) -> Json:
    """Make the owner, let both users act as it, and hand over what the current user owns."""
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
    """Count a user's sessions: those of this machine, and others."""
    with database.session() as cursor:
        cursor.execute(SESSIONS, (options.user,))
        here, elsewhere = cursor.fetchone()
    return {"here": here, "elsewhere": elsewhere}


def cut(database: Database, options: argparse.Namespace) -> Json:
    """End a user's sessions, or wait for their end where the server does not let this session's user end them."""
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
    """Wait until a user has no session; return how many sessions ended. The old password opens no new one."""
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
    """Give MLflow's administrator the credential's password.

    Past MLflow, which would otherwise forget at once that it has checked the former one. Processes that have may go on
    to accept it until they forget or end; that is the time in which clients can change over.
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
    parser = argparse.ArgumentParser(description="What a rotation needs of the database")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--user", default="", help="the other login user")
    parser.add_argument("--owner", default="", help="the role that owns everything")
    parser.add_argument("--auth-database", default="mlflow_auth")
    parser.add_argument("--username", default="admin", help="MLflow's administrator")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for locks or sessions")
    parser.add_argument("--dry-run", action="store_true", help="only tell what is to be done")
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
