# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Kill copy, restore and forget at each of their statements, and look what is left.

Runs in a release's virtual environment: kill_schema.py SCHEMA.PY AUTH_DATABASE, with CREDENTIALS_DIRECTORY. The
databases are those of the credential. Each statement that changes something is a point to be killed at before the
server has seen it; those that take time also while the server works on them, so that it goes on without a client.
Prints a line for each command, exits with 1 when a state is wrong.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def load(path: str) -> Any:
    """Import the program under test from its file."""
    spec = importlib.util.spec_from_file_location("schema", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["schema"] = module
    spec.loader.exec_module(module)
    return module


schema = load(sys.argv[1])
# Small databases are copied as large ones are, which takes a tenth of the time.
schema.LARGE = 0
databases = schema.read_databases(Path(os.environ["CREDENTIALS_DIRECTORY"]), sys.argv[2])
NAMES = databases.names
ID = "now"
NEVER = 1000


def die_at(point: int, *, sent: bool) -> None:
    """Make this process die at its n-th statement."""
    original, seen = schema.Server.run, 0

    def run(self: Any, statement: Any, values: Sequence[object] = ()) -> Any:
        nonlocal seen
        text = statement.as_string(self._connection) if hasattr(statement, "as_string") else statement
        # Half done is only what takes time.
        if text.startswith(("SELECT", "SET", "BEGIN")) or (sent and not text.startswith(("CREATE", "DROP", "COMMIT"))):
            return original(self, statement, values)
        if seen == point:
            if sent:
                # Another process is killed in the middle of the statement; the server has it.
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

    schema.Server.run = run


def child(arguments: Sequence[str], point: int, *, sent: bool) -> bool:
    """Run a command that dies at a point; tell whether it got there."""
    pid = os.fork()
    if pid == 0:
        die_at(point, sent=sent)
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        code = schema.main([*arguments, "--auth-database", NAMES[-1]])
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
    """A session on a database."""
    with contextlib.closing(databases.connect(name)) as session, session.cursor() as cursor:
        yield cursor


def existing() -> set[str]:
    """The names of all databases that belong to the test."""
    with connection("postgres") as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {row[0] for row in cursor.fetchall() if row[0].startswith(NAMES)}


def content(name: str) -> str:
    """What a database says it is."""
    with connection(name) as cursor:
        cursor.execute("SELECT what FROM content")
        return str(cursor.fetchone()[0])


def write(name: str, what: str) -> None:
    """Make a database say what it is."""
    with connection(name) as cursor:
        cursor.execute("DROP TABLE IF EXISTS content")
        cursor.execute("CREATE TABLE content AS SELECT %s AS what", [what])


def begin(*, upgraded: bool) -> None:
    """A server as it is before an upgrade that is not the first, or during one that has migrated already."""
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
    """All these databases must say the same."""
    found = {name: content(name) for name in names}
    assert set(found.values()) == {what}, f"{found}, expected {what}; {sorted(existing())}"


def copy_dies(point: int, *, sent: bool) -> bool:
    """A copy that died: going back gives the old data; so does copying again, and then going back."""
    begin(upgraded=False)
    died = child(["copy", "--id", ID], point, sent=sent)
    if point % 2:
        command("copy", "--id", ID)
        expect("old", [schema.before(name) for name in NAMES])
        for name in NAMES:
            write(name, "new")
    command("restore", "--id", ID)
    expect("old")
    assert not any(name.endswith(("_fresh", "_discarded", "_failed")) for name in existing())
    return died


def restore_dies(point: int, *, sent: bool) -> bool:
    """Going back that died: done again, it has the old data under the names."""
    begin(upgraded=True)
    keep = ["--keep-failed"] if point % 2 else []
    died = child(["restore", "--id", ID, *keep], point, sent=sent)
    command("restore", "--id", ID, *keep)
    expect("old")
    if keep:
        expect("new", [schema.failed(name) for name in NAMES])
    assert existing() == set(NAMES) | ({schema.failed(name) for name in NAMES} if keep else set())
    return died


def forget_dies(point: int, *, sent: bool) -> bool:
    """Forgetting that died: nobody can go back to half of it."""
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
