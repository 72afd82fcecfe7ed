# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Long-running operations.

An operation is a document and a step: a registered function that does the work in a thread. The document is written in
the same transaction as the change. After a kill -9, the step of every unfinished operation runs again; so a step must
be idempotent.
"""

from __future__ import annotations

import builtins
import datetime
import http
import logging
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.errors import ApiError

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

Json = dict[str, Any]
Step = Callable[["Work"], "Json | None"]

_STEPS: dict[str, Step] = {}
_ON_ERROR: dict[str, Callable[[Work], None]] = {}
_log = logging.getLogger(__name__)
COMPUTE = "https://www.googleapis.com/compute/v1"
SQL = "https://sqladmin.googleapis.com/sql/v1beta4"


def step(name: str, *, on_error: Callable[[Work], None] | None = None) -> Callable[[Step], Step]:
    """Register the function that does an operation's work: `@step("compute.instances.insert")`.

    The function gets a `Work`. Its return value becomes the operation's `response`. An ApiError becomes the operation's
    error; `on_error` is called before.
    """

    def register(function: Step) -> Step:
        _STEPS[name] = function
        if on_error is not None:
            _ON_ERROR[name] = on_error
        return function

    return register


@dataclass(frozen=True)
class Work:
    """The arguments of a step: the cloud, the operation's document and the arguments of `start`."""

    cloud: Cloud
    operation: Json
    args: Json


class Operations:
    """The operations of all services (collection `operations`)."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._documents = cloud.store.collection("operations")
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
    ) -> Json:
        """Store an operation, run its step in a thread, and return its document.

        Call it inside the transaction that writes the resource: the thread starts after the commit. `verb` is the
        service's own verb (`insert`, `CREATE_DATABASE`), `target` the resource's relative name, `scope` is `global`,
        `regions/R` or `zones/Z`. A repeated call with the same `request_id` (Compute) returns the first call's
        operation.
        """
        if step not in _STEPS:
            raise KeyError(f"no step is registered as {step}")
        if request_id:
            for old in self.list(service, project):
                if old["requestId"] == request_id and old["target"] == target:
                    return old
        number = self._cloud.store.next_number("operation", 7_000_000_000_000_000_001)
        if service == "compute":
            name = f"operation-{int(time.time() * 1000)}-{uuid.uuid4().hex[:13]}-{number % 100_000_000:08x}"
        else:
            name = str(uuid.uuid4())
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
            "insertTime": self._cloud.clock.now(),
            "response": None,
            "error": None,
        }
        self._documents.put(name, document)
        self._spawn(name)
        return document

    def get(self, name: str) -> Json | None:
        """Return an operation's document by its name (the last part of its public name), or None."""
        return self._documents.get(name)

    def list(self, service: str, project: str | None = None) -> list[Json]:
        """Return the operations of a service, newest first."""
        found = [d for d in self._documents.list() if d["service"] == service and project in (None, d["project"])]
        return sorted(found, key=lambda d: int(d["number"]), reverse=True)

    def pending(self, target: str) -> builtins.list[Json]:
        """Return the unfinished operations of a resource."""
        return [d for d in self._documents.list() if d["target"] == target and d["status"] != "DONE"]

    def delete(self, name: str) -> bool:
        """Delete an operation. Return whether it existed."""
        return self._documents.delete(name)

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
        oldest = self._cloud.clock.now(-14 * 24 * 3600)
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

    def _work(self, document: Json) -> Json | None:
        work = Work(self._cloud, document, document["args"])
        try:
            fault = self._cloud.faults.take(document["method"], document["target"], operation=True)
            if fault is not None:
                raise fault.error()
            return _STEPS[document["step"]](work)
        except ApiError:
            if document["step"] in _ON_ERROR:
                _ON_ERROR[document["step"]](work)
            raise

    def _run(self, name: str) -> None:
        try:
            # Waits until the transaction that created the operation ends. After a rollback there is nothing to do.
            document = self._documents.get(name)
            if document is None or document["status"] == "DONE":
                return
            document |= {"status": "RUNNING", "startTime": self._cloud.clock.now()}
            self._documents.put(name, document)
            try:
                if self._closed.wait(self._cloud.profiles.of(document["project"]).operation(document["method"])):
                    return
                document["response"] = self._work(document)
            except ApiError as error:
                document["error"] = _error(error)
            except sqlite3.ProgrammingError:
                raise
            except Exception as error:
                _log.exception("operation %s (%s) failed", name, document["step"])
                document["error"] = _error(ApiError(500, "INTERNAL", f"{type(error).__name__}: {error}"))
            document |= {"status": "DONE", "endTime": self._cloud.clock.now()}
            self._documents.put(name, document)
        except sqlite3.ProgrammingError:
            if not self._closed.is_set():
                raise
        finally:
            with self._changed:
                self._changed.notify_all()


def _error(error: ApiError) -> Json:
    return {
        "code": error.code,
        "reason": error.reason,
        "status": error.status,
        "message": error.message,
        "rpc": error.rpc_status(),
    }


def pacific(moment: str) -> str:
    """Return a time in UTC as Compute Engine writes it: with the offset of US Pacific time (in winter)."""
    west = datetime.timezone(datetime.timedelta(hours=-8))
    return datetime.datetime.fromisoformat(moment).astimezone(west).isoformat(timespec="milliseconds")


def as_compute(operation: Json) -> Json:
    """Return an operation as Compute Engine shows it."""
    base = f"{COMPUTE}/projects/{operation['project']}"
    scope = operation["scope"]
    shown: Json = {
        "kind": "compute#operation",
        "id": operation["number"],
        "name": operation["name"],
        "operationType": operation["verb"],
        "targetLink": f"{COMPUTE}/{operation['target']}",
        "status": operation["status"],
        "user": operation["user"],
        "progress": {"PENDING": 0, "RUNNING": 50, "DONE": 100}[operation["status"]],
        "insertTime": pacific(operation["insertTime"]),
        "selfLink": f"{base}/{scope}/operations/{operation['name']}",
    }
    for name in ("startTime", "endTime"):
        if operation.get(name):
            shown[name] = pacific(operation[name])
    for source, name in (("targetId", "targetId"), ("requestId", "clientOperationId")):
        if operation.get(source):
            shown[name] = operation[source]
    kind, _, place = scope.partition("/")
    if place:
        shown[kind.removesuffix("s")] = f"{base}/{scope}"
    if operation["error"]:
        error = operation["error"]
        code = _operation_code(error["reason"], error["status"])
        shown["error"] = {"errors": [{"code": code, "message": error["message"]}]}
        shown["httpErrorStatusCode"] = error["code"]
        shown["httpErrorMessage"] = http.HTTPStatus(error["code"]).phrase.upper()
    return shown


def _operation_code(reason: str | None, status: str) -> str:
    """Return an operation's error code: `RESOURCE_IN_USE_…` for the answer's reason `resourceInUse…`."""
    if not reason or reason.islower():
        return status
    return reason if reason.isupper() else re.sub(r"(?=[A-Z])", "_", reason).upper()


def as_sql(operation: Json) -> Json:
    """Return an operation as Cloud SQL Admin shows it; `target` is `projects/P/instances/I`."""
    instance = operation["target"].split("/")[3]
    base = f"{SQL}/projects/{operation['project']}"
    shown: Json = {
        "kind": "sql#operation",
        "name": operation["name"],
        "operationType": operation["verb"],
        "status": operation["status"],
        "user": operation["user"],
        "insertTime": operation["insertTime"],
        "targetId": instance,
        "targetProject": operation["project"],
        "targetLink": f"{base}/instances/{instance}",
        "selfLink": f"{base}/operations/{operation['name']}",
        **operation["metadata"],
    }
    for name in ("startTime", "endTime"):
        if operation.get(name):
            shown[name] = operation[name]
    if operation["error"]:
        error = operation["error"]
        item = {"kind": "sql#operationError", "code": error["reason"] or error["status"], "message": error["message"]}
        shown["error"] = {"kind": "sql#operationErrors", "errors": [item]}
    return shown


def as_longrunning(operation: Json, prefix: str = "operations/") -> Json:
    """Return an operation as google.longrunning.Operation (Service Usage, Service Networking, Resource Manager)."""
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
