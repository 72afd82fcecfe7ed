# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations of Google's newer APIs: google.longrunning, named `projects/P/locations/L/operations/ID`."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from localcloud.core.errors import ApiError
from localcloud.framework.operations import as_longrunning
from localcloud.framework.service import Call, Service

Json = dict[str, Any]
# A wait without a timeout ends after this time, even if the operation is not done.
_WAIT_SECONDS = 120.0


class LocationOperations:
    """The operations of one service.

    `package` is the protobuf package of the service, `methods` the methods of the collection
    `projects.locations.operations` in the contract: get, list, cancel, wait, delete.
    """

    def __init__(self, service: Service, package: str, methods: Iterable[str]) -> None:
        self._service = service
        self._package = f"type.googleapis.com/{package}"
        handlers: dict[str, Callable[[Call], Json]] = {
            "get": self._get, "list": self._list, "cancel": self._cancel, "wait": self._wait, "delete": self._delete,
        }  # fmt: skip
        for name in methods:
            # Google checks operations.get for wait, too: waiting shows no more than reading.
            permission = f"{service.name}.operations.{'get' if name == 'wait' else name}"
            method = f"{service.name}.projects.locations.operations.{name}"
            service.method(method, permission=permission)(handlers[name])

    def start(self, call: Call, step: str, args: Json, *, verb: str, target: str) -> Json:
        """Start an operation on a resource (its relative name) and return the answer to the call.

        Call it inside the transaction that changes the store. The step returns the resource with its `@type`
        (`typed`), or None for an empty response.
        """
        if call.cloud.operations.pending(target):
            raise ApiError(409, "ABORTED", "unable to queue the operation")
        parts = (f"{int(time.time() * 1000)}", *(uuid.uuid4().hex[:length] for length in (13, 8, 8)))
        started = call.cloud.operations.start(
            step,
            args,
            service=self._service.name,
            project=call.project or "",
            verb=verb,
            target=target,
            scope="/".join(target.split("/")[2:4]),
            user=call.caller.email,
            method=call.method.id if call.method else step,
            metadata={"apiVersion": call.method.version if call.method else ""},
            name="-".join(("operation", *parts)),
        )
        return self._shown(started)

    def typed(self, message: str, resource: Json) -> Json:
        """Return a resource as the response of an operation: with the name of its message in `@type`."""
        return {"@type": f"{self._package}.{message}", **resource}

    def _shown(self, operation: Json) -> Json:
        metadata: Json = {
            "@type": f"{self._package}.OperationMetadata",
            "createTime": operation["insertTime"],
            "target": operation["target"],
            "verb": operation["verb"],
            "requestedCancellation": bool(operation.get("cancelled")),
            **operation["metadata"],
        }
        if operation.get("endTime"):
            metadata["endTime"] = operation["endTime"]
        prefix = f"projects/{operation['project']}/{operation['scope']}/operations/"
        return as_longrunning(operation | {"metadata": metadata}, prefix)

    def _operation(self, call: Call) -> Json:
        parts = str(call.params["name"]).split("/")
        found = call.cloud.operations.get(parts[5])
        place = (self._service.name, call.project, f"locations/{parts[3]}")
        if found is None or (found["service"], found["project"], found["scope"]) != place:
            raise ApiError(404, None, f"Resource '{call.params['name']}' was not found")
        return found

    def _get(self, call: Call) -> Json:
        return self._shown(self._operation(call))

    def _list(self, call: Call) -> Json:
        if call.params.get("filter"):
            raise ApiError(501, None, "The local cloud has no filter for lists of operations.")
        location = str(call.params["name"]).split("/")[3]
        found = call.cloud.operations.list(self._service.name, call.project)
        found = [each for each in found if location == "-" or each["scope"] == f"locations/{location}"]
        return call.listing("operations", [self._shown(each) for each in found])

    def _cancel(self, call: Call) -> Json:
        call.cloud.operations.cancel(self._operation(call)["name"])
        return {}

    def _wait(self, call: Call) -> Json:
        given = re.fullmatch(r"(\d+(?:\.\d+)?)s", call.body.get("timeout") or f"{_WAIT_SECONDS}s")
        if given is None:
            raise ApiError(400, None, f"Invalid value at 'timeout': {call.body['timeout']}")
        found = self._operation(call)
        return self._shown(call.cloud.operations.wait(found["name"], min(float(given[1]), _WAIT_SECONDS)) or found)

    def _delete(self, call: Call) -> Json:
        call.cloud.operations.delete(self._operation(call)["name"])
        return {}
