# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The API object and shared functions: documents, refusals, serial writes, SQL."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import weakref
from collections.abc import Iterator

from localcloud.access.refusals import Refusals
from localcloud.core.errors import ApiError, Dialect
from localcloud.engine.base import EngineError
from localcloud.framework.cloud import Cloud
from localcloud.framework.lifecycle import Resources
from localcloud.framework.service import Call, Json, Service
from localcloud.services.sqladmin.documents import SQL, as_sql


class _Refusals(Refusals):
    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of a caller without a permission."""
        message = f"The client is not authorized to make this request. Permission '{permission}' is missing."
        return ApiError(403, "notAuthorized", message)


api = Service(
    "sqladmin",
    ("v1beta4", "v1"),
    dialect=Dialect.REASON,
    refusals=_Refusals(),
    durations={
        "sql.instances.insert": 420.0,
        "sql.instances.delete": 15.0,
        "sql.instances.*": 60.0,
        "sql.backupRuns.automatic": 60.0,
        "sql.*": 5.0,
    },
)


def invalid(message: str, reason: str = "invalid") -> ApiError:
    """Return a 400."""
    return ApiError(400, reason, message)


def _missing(_: str) -> ApiError:
    return ApiError(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")


def _exists(_: str) -> ApiError:
    return ApiError(409, "instanceAlreadyExists", "The Cloud SQL instance already exists.")


def instances(cloud: Cloud) -> Resources:
    """Return the instances as clients see them, by `projects/P/instances/NAME`."""
    return Resources(cloud, "sqladmin.instances", base=SQL, missing=_missing, exists=_exists)


def parts(cloud: Cloud, kind: str) -> Resources:
    """Return the `databases`, `users` or `backupRuns` of instances, by `projects/P/instances/NAME/KIND/ID`."""
    singular = {"databases": "database", "users": "user", "backupRuns": "backup run"}[kind]
    return Resources(
        cloud,
        f"sqladmin.{kind}",
        missing=lambda name: _missing_part(kind, f"The {singular} {name.rsplit('/', 1)[1]} does not exist."),
        exists=lambda name: ApiError(409, "alreadyExists", f"The {singular} {name.rsplit('/', 1)[1]} already exists."),
    )


def _missing_part(kind: str, message: str) -> ApiError:
    if kind == "databases":  # Google has another message for databases
        return ApiError(404, "notFound", "Not Found", with_status=True)
    return ApiError(404, "notFound", message)


def private(cloud: Cloud, key: str) -> Json:
    """Return an instance's internal data, which clients do not see: its engine's id, range, certificates and keys."""
    found = cloud.store.collection("sqladmin.private").get(key)
    if found is None:
        raise _missing(key)
    return found


def key_of(call: Call) -> str:
    """Return the relative name of the instance in the path; `project:name` is accepted, as at Google."""
    name = str(call.params["instance"]).rsplit(":", 1)[-1]
    return f"projects/{call.project}/instances/{name}"


def instance_of(call: Call) -> Json:
    """Return the instance in the path. Raises 404."""
    return instances(call.cloud).get(key_of(call))


def etag(document: Json) -> str:
    """Return a hash of a document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def addresses(private_ip: str, settings: Json) -> list[Json]:
    """Return the addresses of an instance. The public address is from a documentation range: it does not answer."""
    public = settings["ipConfiguration"]["ipv4Enabled"]
    found = [{"type": "PRIMARY", "ipAddress": "203.0.113.5"}] if public else []
    return [*found, {"type": "PRIVATE", "ipAddress": private_ip}]


def private_address(instance: Json) -> str:
    """Return the address in the peered range."""
    return next(str(found["ipAddress"]) for found in instance["ipAddresses"] if found["type"] == "PRIVATE")


_NOT_NOW = "The instance or operation is not in an appropriate state to handle the request."
_conflicts: weakref.WeakKeyDictionary[Cloud, Iterator[int]] = weakref.WeakKeyDictionary()


def check_idle(cloud: Cloud, key: str) -> None:
    """Raise 409 during another write to the instance: writes are serial."""
    if cloud.operations.pending(key):
        number = next(_conflicts.setdefault(cloud, itertools.count(1)))
        if number % 2 == 0 and cloud.profiles.of(key.split("/")[1]).sql_invalid_state:
            raise ApiError(409, "invalidState", _NOT_NOW)
        message = (
            "Operation failed because another operation was already in progress. Try your request after the current "
            "operation is complete."
        )
        raise ApiError(409, "operationInProgress", message)


def check_running(instance: Json) -> None:
    """Raise 400 unless the instance can answer SQL."""
    if instance["state"] != "RUNNABLE" or instance["settings"].get("activationPolicy") == "NEVER":
        raise invalid(_NOT_NOW, "invalidState")


def check_answers(instance: Json) -> None:
    """Raise 400 unless the instance can answer reads; the message differs from a write's."""
    try:
        check_running(instance)
    except ApiError:
        raise invalid("Invalid request: Invalid request since instance is not running.") from None


def check_writable(call: Call) -> None:
    """Check that the instance in the path is idle and running, before a change inside its server."""
    check_running(instance_of(call))
    check_idle(call.cloud, key_of(call))


def start(
    call: Call, step: str, verb: str, args: Json | None = None, *, key: str | None = None, metadata: Json | None = None
) -> Json:
    """Start an operation on the instance. Call it in the transaction that checked the instance."""
    target = key or key_of(call)
    return as_sql(
        call.cloud.operations.start(
            f"sqladmin.{step}",
            {"key": target, **(args or {})},
            service="sqladmin",
            project=call.project or "",
            verb=verb,
            target=target,
            user=call.caller.email,
            method=call.method.id if call.method else None,
            metadata=metadata,
        )
    )


def finished(call: Call, operation: Json) -> Json:
    """Wait until the operation is done: Google answers some calls only then. Call it outside a transaction."""
    document = call.cloud.operations.wait(operation["name"], 30.0)
    return as_sql(document) if document else operation


# -- SQL


def identifier(name: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def check_sql_name(name: str, what: str) -> None:
    """Raise 400 for an invalid name of a role or database."""
    if not name or len(name.encode()) > 63 or any(ord(c) < 32 or ord(c) == 127 for c in name) or "/" in name:
        raise invalid(f"Invalid {what} name: {name!r}.")


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn the engine's errors into the operation's error: PostgreSQL's own message without the statement."""
    try:
        yield
    except EngineError as error:
        found = re.search(r"(?:ERROR|FATAL):\s+(?:[0-9A-Z]{5}:\s+)?([^\n]+)(?:\nDETAIL:\s+([^\n]+))?", str(error))
        words = ". ".join(g for g in found.groups() if g) if found else str(error)
        raise ApiError(400, "ERROR_RDBMS", f"{what}. Detail: {words}") from None
