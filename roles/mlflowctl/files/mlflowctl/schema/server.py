# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The session in the maintenance database that renames, copies and drops databases."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from ..database_uri import Databases
from ..errors import FailedError
from .names import MAINTENANCE, discarded, fresh, mark_in

# Key of the advisory lock in the maintenance database: one process runs these commands. "mlflow" as a number.
LOCK = 0x6D6C666C6F77
# Above this size, copying files (with a checkpoint) is faster than copying through the write-ahead log.
LARGE = 64 * 1024 * 1024


class Server:
    """The session in the maintenance database that renames, copies and drops databases."""

    def __init__(self, databases: Databases, *, patience: float, take_over: bool = False) -> None:
        for name in databases.names:
            # PostgreSQL truncates longer names, so two names could become equal.
            if len(discarded(name).encode()) > 63:
                raise FailedError(f"the database name {name} is too long: an upgrade appends up to 10 bytes")
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
                raise FailedError("another command holds the lock of the databases and does not end. Try again later")
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
                    raise FailedError(
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
            raise FailedError(f"there is no database {name}")
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
