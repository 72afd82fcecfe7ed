# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations of Cloud SQL."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin.api import api
from localcloud.services.sqladmin.documents import as_sql


@api.method("sql.operations.get", permission="cloudsql.instances.get")
def get(call: Call) -> Json:
    """Return one operation."""
    found = call.cloud.operations.get(call.params["operation"])
    if found is None or found["service"] != "sqladmin" or found["project"] != call.project:
        raise ApiError(404, "operationDoesNotExist", "The Cloud SQL instance operation does not exist.")
    return as_sql(found)


@api.method("sql.operations.list", permission="cloudsql.instances.get")
def list_operations(call: Call) -> Json:
    """Return the operations of a project or of one instance, newest first."""
    found = [as_sql(o) for o in call.cloud.operations.list("sqladmin", call.project)]
    wanted = call.params.get("instance")
    if wanted:
        found = [o for o in found if o["targetId"] == wanted]
    return {"kind": "sql#operationsList"} | call.listing("items", found, size="maxResults", default=100)
