# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations: global, regional and zonal; batches of calls."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.batch import batch
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog
from localcloud.services.compute.api import aggregated, api, place, scope_of
from localcloud.services.compute.documents import as_compute

# Google answers a wait after two minutes at the latest, even if the operation is not done.
_WAIT_SECONDS = 120.0


def _operation(call: Call) -> Json:
    name = call.params["operation"]
    found = call.cloud.operations.get(name)
    if found is None and name.isdigit():
        found = next((o for o in call.cloud.operations.list("compute", call.project) if o["number"] == name), None)
    known = found is not None and found["service"] == "compute" and found["project"] == call.project
    if found is None or not known or found["scope"] != scope_of(call):
        raise ApiError(404, "notFound", f"The resource '{place(call)}/operations/{name}' was not found")
    return found


def get(call: Call) -> Json:
    """Return the operation."""
    return as_compute(_operation(call))


def wait(call: Call) -> Json:
    """Wait until the operation is done, at most two minutes; return it."""
    found = _operation(call)
    return as_compute(call.cloud.operations.wait(found["name"], _WAIT_SECONDS) or found)


for _kind in ("globalOperations", "regionOperations", "zoneOperations"):
    api.method(f"compute.{_kind}.get", permission=f"compute.{_kind}.get")(get)
    api.method(f"compute.{_kind}.wait", permission=f"compute.{_kind}.get")(wait)


@api.method("compute.globalOperations.aggregatedList", permission="compute.globalOperations.list")
def aggregate(call: Call) -> Json:
    """Return the operations of all scopes."""
    found = [as_compute(o) for o in call.cloud.operations.list("compute", call.project)]
    return aggregated(call, "compute#operationAggregatedList", "operations", found, ("global", *catalog.SCOPES))


# gcloud sends several calls in one batch, for example to delete several firewall rules.
api.route("POST", r"/batch/compute/v1", anonymous=True)(batch)
