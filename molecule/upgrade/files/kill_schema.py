# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Kill copy, restore and forget at each of their statements, and check the resulting state.

Runs in the virtual environment of a release: kill_schema.py PROGRAM AUTH_DATABASE, with CREDENTIALS_DIRECTORY. The
credential names the databases. Each command is killed before every statement that changes something. It is also killed
during every slow statement, which PostgreSQL then continues without a client.
Prints a line for each command. Exits with 1 if a state is wrong.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

from mlflowctl import cli, database_uri
from mlflowctl.schema import names, server

# Copy small databases by files, like large ones. This takes a tenth of the time.
server.LARGE = 0
databases = database_uri.read(Path(os.environ["CREDENTIALS_DIRECTORY"]), sys.argv[2])
NAMES = databases.names
ID = "now"
NEVER = 1000


def die_at(point: int, *, sent: bool) -> None:
    """Make this process kill itself at its n-th statement."""
    original, seen = server.Server.run, 0

    def run(self: Any, statement: Any, values: Sequence[object] = ()) -> Any:
        nonlocal seen
        text = statement.as_string(self._connection) if hasattr(statement, "as_string") else statement
        # Only slow statements can be killed while PostgreSQL executes them.
        if text.startswith(("SELECT", "SET", "BEGIN")) or (sent and not text.startswith(("CREATE", "DROP", "COMMIT"))):
            return original(self, statement, values)
        if seen == point:
            if sent:
                # A child process is killed after it has sent the statement to PostgreSQL.
                child = os.fork()
                if child == 0:
                    with contextlib.suppress(BaseException):
                        self._connection.cursor().execute(text)
                    os._exit(0)
                time.sleep(0.01)
                os.kill(child, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        return original(self, statement, values)

    server.Server.run = run


def child(arguments: Sequence[str], point: int, *, sent: bool) -> bool:
    """Run a command that kills itself at a point; return whether the command reached the point."""
    pid = os.fork()
    if pid == 0:
        die_at(point, sent=sent)
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        code = cli.main(["schema", *arguments, "--auth-database", NAMES[-1]])
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert os.waitstatus_to_exitcode(status) == 0, arguments
        return False
    return True


def command(*arguments: str) -> None:
    """Run a command to its end."""
    assert not child(arguments, NEVER, sent=False)


@contextlib.contextmanager
def connection(name: str) -> Iterator[Any]:
    """Open a session on a database."""
    with contextlib.closing(databases.connect(name)) as session, session.cursor() as cursor:
        yield cursor


def existing() -> set[str]:
    """Return the names of all databases of the test."""
    with connection("postgres") as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {row[0] for row in cursor.fetchall() if row[0].startswith(NAMES)}


def content(name: str) -> str:
    """Return the label that is stored in a database."""
    with connection(name) as cursor:
        cursor.execute("SELECT what FROM content")
        return str(cursor.fetchone()[0])


def write(name: str, what: str) -> None:
    """Store a label in a database."""
    with connection(name) as cursor:
        cursor.execute("DROP TABLE IF EXISTS content")
        cursor.execute("CREATE TABLE content AS SELECT %s AS what", [what])


def begin(*, upgraded: bool) -> None:
    """Create the state before a second upgrade, or with `upgraded` the state after its migration."""
    for name in existing():
        with connection("postgres") as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    for name in NAMES:
        with connection("postgres") as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER cloudsqlsuperuser STRATEGY = FILE_COPY")
        write(name, "older")
    command("copy", "--id", "last time")
    for name in NAMES:
        write(name, "old")
    if upgraded:
        command("copy", "--id", ID)
        for name in NAMES:
            write(name, "new")


def expect(what: str, names: Sequence[str] = NAMES) -> None:
    """Assert that all databases have the same label."""
    found = {name: content(name) for name in names}
    assert set(found.values()) == {what}, f"{found}, expected {what}; {sorted(existing())}"


def copy_dies(point: int, *, sent: bool) -> bool:
    """Kill `copy`: a restore gives the old data, also after a repeated copy."""
    begin(upgraded=False)
    died = child(["copy", "--id", ID], point, sent=sent)
    if point % 2:
        command("copy", "--id", ID)
        expect("old", [names.before(name) for name in NAMES])
        for name in NAMES:
            write(name, "new")
    command("restore", "--id", ID)
    expect("old")
    assert not any(name.endswith(("_fresh", "_discarded", "_failed")) for name in existing())
    return died


def restore_dies(point: int, *, sent: bool) -> bool:
    """Kill `restore`: a repeated restore gives the old data."""
    begin(upgraded=True)
    keep = ["--keep-failed"] if point % 2 else []
    died = child(["restore", "--id", ID, *keep], point, sent=sent)
    command("restore", "--id", ID, *keep)
    expect("old")
    if keep:
        expect("new", [names.failed(name) for name in NAMES])
    assert existing() == set(NAMES) | ({names.failed(name) for name in NAMES} if keep else set())
    return died


def forget_dies(point: int, *, sent: bool) -> bool:
    """Kill `forget`: a restore gives the old data of all databases or of none."""
    begin(upgraded=True)
    died = child(["forget"], point, sent=sent)
    command("restore", "--id", ID)
    forgotten = content(NAMES[0]) == "new"
    expect("new" if forgotten else "old")
    command("forget")
    assert existing() == set(NAMES)
    return died


def main() -> None:
    """Kill each command at each point."""
    for attempt in (copy_dies, restore_dies, forget_dies):
        points, started = 0, time.monotonic()
        for sent in (False, True):
            point = 0
            while attempt(point, sent=sent):
                point += 1
                points += 1
        print(f"{attempt.__name__}: {points} points, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
