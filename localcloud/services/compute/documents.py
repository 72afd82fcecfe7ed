# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Links and operations, as Compute Engine shows them."""

from __future__ import annotations

import http
import re
from typing import Any

from localcloud.core.clock import pacific

Json = dict[str, Any]

COMPUTE = "https://www.googleapis.com/compute/v1"


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
