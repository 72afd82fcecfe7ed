# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The API itself, and what its parts share: documents, refusals, serial writes, SQL."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import weakref
from collections.abc import Iterator

from localcloud.cloud import Cloud
from localcloud.engine.base import EngineError
from localcloud.errors import ApiError
from localcloud.lifecycle import Resources
from localcloud.operations import SQL, as_sql
from localcloud.service import Call, Json, Service

api = Service("sqladmin", "v1beta4", "v1")


def invalid(message: str, reason: str = "invalid") -> ApiError:
    """400."""
    return ApiError(400, reason, message)


def _missing(_: str) -> ApiError:
    return ApiError(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")


def _exists(_: str) -> ApiError:
    return ApiError(409, "instanceAlreadyExists", "The Cloud SQL instance already exists.")


def instances(cloud: Cloud) -> Resources:
    """The instances as clients see them, by `projects/P/instances/NAME`."""
    return Resources(cloud, "sqladmin.instances", base=SQL, missing=_missing, exists=_exists)


def parts(cloud: Cloud, kind: str) -> Resources:
    """What belongs to instances (`databases`, `users`, `backupRuns`), by `projects/P/instances/NAME/KIND/ID`."""
    singular = {"databases": "database", "users": "user", "backupRuns": "backup run"}[kind]
    return Resources(
        cloud,
        f"sqladmin.{kind}",
        missing=lambda name: _missing_part(kind, f"The {singular} {name.rsplit('/', 1)[1]} does not exist."),
        exists=lambda name: ApiError(409, "alreadyExists", f"The {singular} {name.rsplit('/', 1)[1]} already exists."),
    )


def _missing_part(kind: str, message: str) -> ApiError:
    if kind == "databases":  # Google has other words for them
        return ApiError(404, "notFound", "Not Found", with_status=True)
    return ApiError(404, "notFound", message)


def private(cloud: Cloud, key: str) -> Json:
    """What the local cloud knows of an instance and nobody else: its engine's id, range, certificates and keys."""
    found = cloud.store.collection("sqladmin.private").get(key)
    if found is None:
        raise _missing(key)
    return found


def key_of(call: Call) -> str:
    """The relative name of the instance in the path; `project:name` is accepted as the real one does."""
    name = str(call.params["instance"]).rsplit(":", 1)[-1]
    return f"projects/{call.project}/instances/{name}"


def instance_of(call: Call) -> Json:
    """The instance in the path; 404."""
    return instances(call.cloud).get(key_of(call))


def etag(document: Json) -> str:
    """A hash of a document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def addresses(private_ip: str, settings: Json) -> list[Json]:
    """The addresses of an instance. The public one is of a range for documentation: nothing answers there."""
    public = settings["ipConfiguration"]["ipv4Enabled"]
    found = [{"type": "PRIMARY", "ipAddress": "203.0.113.5"}] if public else []
    return [*found, {"type": "PRIVATE", "ipAddress": private_ip}]


def private_address(instance: Json) -> str:
    """The address in the peered range."""
    return next(str(found["ipAddress"]) for found in instance["ipAddresses"] if found["type"] == "PRIVATE")


_NOT_NOW = "The instance or operation is not in an appropriate state to handle the request."
_conflicts: weakref.WeakKeyDictionary[Cloud, Iterator[int]] = weakref.WeakKeyDictionary()


def check_idle(cloud: Cloud, key: str) -> None:
    """409 while another write to the instance goes on: they are serial."""
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
    """400 unless the instance can answer SQL."""
    if instance["state"] != "RUNNABLE" or instance["settings"].get("activationPolicy") == "NEVER":
        raise invalid(_NOT_NOW, "invalidState")


def check_answers(instance: Json) -> None:
    """400 unless the instance can tell what is in it; reads have other words than writes."""
    try:
        check_running(instance)
    except ApiError:
        raise invalid("Invalid request: Invalid request since instance is not running.") from None


def check_writable(call: Call) -> None:
    """Both, of the instance in the path: what changes things inside a server asks for it."""
    check_running(instance_of(call))
    check_idle(call.cloud, key_of(call))


def start(
    call: Call, step: str, verb: str, args: Json | None = None, *, key: str | None = None, metadata: Json | None = None
) -> Json:
    """Start an operation on the instance; call it in the transaction that checked the instance."""
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
    """The operation once it is done: for what Google has done when it answers. Call it outside a transaction."""
    document = call.cloud.operations.wait(operation["name"], 30.0)
    return as_sql(document) if document else operation


# -- SQL


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted string."""
    return "'" + text.replace("'", "''") + "'"


def check_sql_name(name: str, what: str) -> None:
    """400 for what cannot name a role or a database."""
    if not name or len(name.encode()) > 63 or any(ord(c) < 32 or ord(c) == 127 for c in name) or "/" in name:
        raise invalid(f"Invalid {what} name: {name!r}.")


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn the engine's refusals into the operation's error, in PostgreSQL's own words but without the statement."""
    try:
        yield
    except EngineError as error:
        found = re.search(r"(?:ERROR|FATAL):\s+(?:[0-9A-Z]{5}:\s+)?([^\n]+)(?:\nDETAIL:\s+([^\n]+))?", str(error))
        words = ". ".join(g for g in found.groups() if g) if found else str(error)
        raise ApiError(400, "ERROR_RDBMS", f"{what}. Detail: {words}") from None
