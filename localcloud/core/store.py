# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A JSON document store on SQLite that stays consistent after a kill -9.

One connection, one lock: the local cloud has few clients, and durable writes have to wait for the disk.
"""

from __future__ import annotations

import json
import pathlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class AlreadyExists(Exception):  # noqa: N818 (same name as in google.api_core)
    """`Collection.insert` found a document with this key."""


class Store:
    """The documents of the local cloud, in collections by kind."""

    def __init__(self, path: pathlib.Path | str) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        if str(path) != ":memory:":
            # The file contains keys and secrets. SQLite's additional files get the same mode.
            pathlib.Path(path).touch(mode=0o600)
        self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database. Without a call no data is lost."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block atomically and exclusively; may be nested. Keep it short: never wait inside."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def collection(self, kind: str) -> Collection:
        """Return the documents of one kind, for example `compute.instances`."""
        return Collection(self, kind)

    def next_number(self, name: str, start: int = 1) -> int:
        """Return the next number of a persistent counter."""
        row = self.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            (name, start),
        )
        return int(row[0][0])

    def execute(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; return its rows."""
        with self._lock:
            return self._db.execute(sql, arguments).fetchall()


class Collection:
    """Documents of one kind by key. Arguments and results are copies."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self.kind = kind

    def get(self, key: str) -> Json | None:
        """Return the document, or None."""
        rows = self._store.execute("SELECT body FROM documents WHERE kind = ? AND key = ?", (self.kind, key))
        return json.loads(rows[0][0]) if rows else None

    def put(self, key: str, document: Json) -> None:
        """Write the document, new or existing."""
        self._store.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (self.kind, key, json.dumps(document)))

    def insert(self, key: str, document: Json) -> None:
        """Write a new document. Raises AlreadyExists."""
        try:
            self._store.execute("INSERT INTO documents VALUES (?, ?, ?)", (self.kind, key, json.dumps(document)))
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(key) from error

    def delete(self, key: str) -> bool:
        """Remove the document. Return whether it existed."""
        sql = "DELETE FROM documents WHERE kind = ? AND key = ? RETURNING 1"
        return bool(self._store.execute(sql, (self.kind, key)))

    def items(self, prefix: str = "") -> list[tuple[str, Json]]:
        """Return (key, document) of all keys that start with `prefix`, sorted by key."""
        rows = self._store.execute(
            "SELECT key, body FROM documents WHERE kind = ? AND key >= ? AND substr(key, 1, ?) = ? ORDER BY key",
            (self.kind, prefix, len(prefix), prefix),
        )
        return [(key, json.loads(body)) for key, body in rows]

    def list(self, prefix: str = "") -> list[Json]:
        """Return the documents of all keys that start with `prefix`, sorted by key."""
        return [document for _, document in self.items(prefix)]
