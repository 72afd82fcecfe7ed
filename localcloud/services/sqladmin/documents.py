# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Links and operations, as Cloud SQL Admin shows them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SQL = "https://sqladmin.googleapis.com/sql/v1beta4"


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
