# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Long-running operations.

An operation is a document and a step that does the work in a thread (`framework.cloud.step`). The document is written
in the same transaction as the change. After a kill -9, the step of every unfinished operation runs again; so a step
must be idempotent.
"""

from __future__ import annotations

import builtins
import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.core.profile import Profiles
from localcloud.core.store import Store

Json = dict[str, Any]

_log = logging.getLogger(__name__)


class Operations:
    """The operations of all services (collection `operations`).

    `run` runs the step of an operation and returns its response; an ApiError becomes the operation's error.
    """

    def __init__(self, store: Store, clock: Clock, profiles: Profiles, run: Callable[[Json], Json | None]) -> None:
        self._store = store
        self._clock = clock
        self._profiles = profiles
        self._run_step = run
        self._documents = store.collection("operations")
        self._changed = threading.Condition()
        self._closed = threading.Event()

    def start(
        self,
        step: str,
        args: Json | None = None,
        *,
        service: str,
        project: str,
        verb: str,
        target: str,
        scope: str = "global",
        target_id: str | None = None,
        user: str = "",
        request_id: str | None = None,
        metadata: Json | None = None,
        method: str | None = None,
        name: str | None = None,
    ) -> Json:
        """Store an operation, run its step in a thread, and return its document.

        Call it inside the transaction that writes the resource: the thread starts after the commit. `verb` is the
        service's own verb (`insert`, `CREATE_DATABASE`), `target` the resource's relative name, `scope` is `global`,
        `regions/R` or `zones/Z`. A repeated call with the same `request_id` returns the first call's operation. The
        default of `name` is a random UUID.
        """
        if request_id:
            for old in self.list(service, project):
                if old["requestId"] == request_id and old["target"] == target:
                    return old
        number = self._store.next_number("operation", 7_000_000_000_000_000_001)
        name = name or str(uuid.uuid4())
        document: Json = {
            "name": name,
            "number": str(number),
            "service": service,
            "project": project,
            "scope": scope,
            "verb": verb,
            "method": method or step,
            "target": target,
            "targetId": target_id,
            "user": user,
            "requestId": request_id,
            "metadata": metadata or {},
            "step": step,
            "args": args or {},
            "status": "PENDING",
            "insertTime": self._clock.now(),
            "response": None,
            "error": None,
        }
        self._documents.put(name, document)
        self._spawn(name)
        return document

    def get(self, name: str) -> Json | None:
        """Return an operation's document by its name (the last part of its public name), or None."""
        document = self._documents.get(name)
        return None if document is None or document.get("deleted") else document

    def list(self, service: str, project: str | None = None) -> list[Json]:
        """Return the operations of a service, newest first."""
        found = [d for d in self._documents.list() if d["service"] == service and project in (None, d["project"])]
        found = [d for d in found if not d.get("deleted")]
        return sorted(found, key=lambda d: int(d["number"]), reverse=True)

    def pending(self, target: str) -> builtins.list[Json]:
        """Return the unfinished operations of a resource."""
        return [d for d in self._documents.list() if d["target"] == target and d["status"] != "DONE"]

    def delete(self, name: str) -> None:
        """Forget an operation. Its work goes on; a running operation has its name until the end of the work."""
        with self._store.transaction():
            document = self._documents.get(name)
            if document is None or document["status"] == "DONE":
                self._documents.delete(name)
            else:
                self._documents.put(name, document | {"deleted": True})

    def cancel(self, name: str) -> None:
        """End an unfinished operation with the error CANCELLED, unless its step runs already."""
        with self._store.transaction():
            document = self._documents.get(name)
            if document is not None and document["status"] != "DONE":
                self._documents.put(name, document | {"cancelled": True})
        with self._changed:
            self._changed.notify_all()

    def wait(self, name: str, seconds: float) -> Json | None:
        """Wait until the operation is done or the time is over; return its document."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                document = self.get(name)
                left = deadline - time.monotonic()
                if document is None or document["status"] == "DONE" or left <= 0 or self._closed.is_set():
                    return document
                self._changed.wait(min(left, 5.0))

    def resume(self) -> int:
        """Resume interrupted operations and delete operations older than two weeks; return the number resumed."""
        oldest = self._clock.now(-14 * 24 * 3600)
        for name, document in self._documents.items():
            if document["status"] == "DONE" and document["insertTime"] < oldest:
                self._documents.delete(name)
        unfinished = [d for d in self._documents.list() if d["status"] != "DONE"]
        for document in sorted(unfinished, key=lambda d: int(d["number"])):
            self._spawn(document["name"])
        return len(unfinished)

    def close(self) -> None:
        """Wake waiting callers. Unfinished steps are resumed at the next start."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def _spawn(self, name: str) -> None:
        threading.Thread(target=self._run, args=(name,), name=f"operation-{name}", daemon=True).start()

    def _run(self, name: str) -> None:
        try:
            # Waits until the transaction that created the operation ends. After a rollback there is nothing to do.
            document = self._documents.get(name)
            if document is None or document["status"] == "DONE":
                return
            document |= {"status": "RUNNING", "startTime": self._clock.now()}
            self._documents.put(name, document)
            try:
                self._pause(name, self._profiles.duration(document["project"], document["method"]))
                if self._closed.is_set():
                    return
                document["response"] = self._run_step(self._documents.get(name) or document)
            except ApiError as error:
                document["error"] = _error(error)
            except sqlite3.ProgrammingError:
                raise
            except Exception as error:
                _log.exception("operation %s (%s) failed", name, document["step"])
                document["error"] = _error(ApiError(500, "INTERNAL", f"{type(error).__name__}: {error}"))
            with self._store.transaction():
                requests = {k: v for k, v in (self._documents.get(name) or {}).items() if k in ("cancelled", "deleted")}
                document |= requests | {"status": "DONE", "endTime": self._clock.now()}
                self._documents.put(name, document)
                if document.get("deleted"):
                    self._documents.delete(name)
        except sqlite3.ProgrammingError:
            if not self._closed.is_set():
                raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _pause(self, name: str, seconds: float) -> None:
        """Wait for the time that the work takes at Google. A cancellation or the stop of the cloud ends the wait."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._closed.is_set() and not (self._documents.get(name) or {}).get("cancelled"):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 5.0))


def _error(error: ApiError) -> Json:
    return {
        "code": error.code,
        "reason": error.reason,
        "status": error.status,
        "message": error.message,
        "rpc": error.rpc_status(),
    }


def as_longrunning(operation: Json, prefix: str = "operations/") -> Json:
    """Return an operation as google.longrunning.Operation."""
    shown: Json = {"name": prefix + operation["name"]}
    if operation["metadata"]:
        shown["metadata"] = operation["metadata"]
    if operation["status"] == "DONE":
        shown["done"] = True
        if operation["error"]:
            shown["error"] = operation["error"]["rpc"]
        else:
            shown["response"] = operation["response"] or {"@type": "type.googleapis.com/google.protobuf.Empty"}
    return shown
