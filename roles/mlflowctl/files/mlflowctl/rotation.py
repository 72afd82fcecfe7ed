# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rotate the database users and the administrator password: prepare the owner role, end sessions, set the password.

Every command runs as the user of the URI. Works on PostgreSQL 13 and newer. Since version 16, CREATEROLE alone does not
include grants, so the commands check the privileges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg2 import errors, sql

from .database_uri import Databases
from .errors import FailedError
from .schema.names import KEPT_SUFFIXES

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
BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)
Json = dict[str, Any]


@contextmanager
def session(databases: Databases, database: str = "", *, as_owner: bool = False) -> Iterator[Any]:
    """Open a session in autocommit. Without `as_owner`, it acts as the user, not as the role in the URI."""
    connection = databases.connect(database or databases.tracking, as_owner=as_owner)
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
            raise FailedError(f"{name} cannot act as {owner} although it was granted: look at \\drg {name} in psql")


def open_schema(cursor: Any, owner: str) -> None:
    """Allow the owner to create tables in the schema."""
    allowed = "select has_schema_privilege(%s, 'public', 'USAGE') and has_schema_privilege(%s, 'public', 'CREATE')"
    if not value(cursor, allowed, owner, owner):
        # Without the privilege to grant, PostgreSQL only warns. The check below finds the failure.
        cursor.execute(sql.SQL("grant usage, create on schema public to {}").format(sql.Identifier(owner)))
    if not value(cursor, allowed, owner, owner):
        database, me = value(cursor, "select current_database()"), value(cursor, "select session_user")
        raise FailedError(
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
            raise FailedError(
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


def prepare(databases: Databases, *, user: str, owner: str, patience: float, dry_run: bool) -> Json:
    """Create the owner role, grant it to both users, and change the owner of the current user's objects."""
    wanted = [name + kept for name in databases.names for kept in KEPT_SUFFIXES]
    with session(databases) as cursor:
        cursor.execute("select datname from pg_database where datname = any(%s) order by 1", (wanted,))
        names = [name for (name,) in cursor.fetchall()]
        lacking = missing(cursor, owner, [value(cursor, "select session_user"), user])
        if not dry_run:
            join(cursor, owner, user)
    objects = {}
    for name in names:
        with session(databases, name) as cursor:
            if dry_run:
                cursor.execute(LOOSE)
                objects[name] = len(cursor.fetchall())
                continue
            open_schema(cursor, owner)
            objects[name] = hand_over(cursor, owner, patience=patience)
    changed = not dry_run and (bool(lacking) or sum(objects.values()) > 0)
    return {"missing": lacking, "objects": objects, "changed": changed}


def sessions(databases: Databases, *, user: str) -> Json:
    """Count the sessions of a user, on this VM and elsewhere."""
    with session(databases) as cursor:
        cursor.execute(SESSIONS, (user,))
        here, elsewhere = cursor.fetchone()
    return {"here": here, "elsewhere": elsewhere}


def end_sessions(databases: Databases, *, user: str, patience: float) -> Json:
    """End the sessions of a user. If the server does not allow this, wait for their end."""
    with session(databases) as cursor:
        me = value(cursor, "select session_user")
        if me == user:
            raise FailedError(f"{me} is the user that the server uses")
        try:
            ended = value(cursor, END, user)
            return {"cut": ended, "changed": ended > 0}
        except errors.InsufficientPrivilege:
            return {"cut": 0, "ended": wait_idle(cursor, user, patience=patience), "changed": False}


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
            raise FailedError(
                f"{left} sessions of {user} are open after {patience:.0f} s, and the server does not let"
                f" {value(cursor, 'select session_user')} end them (it needs the role pg_signal_backend)."
                f" The password of {user} is changed already, so no new session can begin."
                " Close those clients, or restart the Cloud SQL instance, and rotate again"
            )
        sleep(1.0)


def administrator(databases: Databases, password: str, *, username: str) -> Json:
    """Set the password of MLflow's administrator to the credential's password.

    Writes to the database directly, because MLflow's API would clear its cache of verified passwords. Processes with
    the former password in their cache accept it until the entry expires or the process ends: the overlap for clients.
    """
    from werkzeug.security import check_password_hash, generate_password_hash

    with session(databases, databases.auth, as_owner=True) as cursor:
        known = value(cursor, "select password_hash from users where username = %s", username)
        if known is None:
            raise FailedError(f"MLflow has no user {username}: see mlflow_admin_username")
        if check_password_hash(known, password):
            return {"changed": False}
        hashed = generate_password_hash(password)
        cursor.execute("update users set password_hash = %s where username = %s", (hashed, username))
    return {"changed": True}
