# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations, which record the changes of a zone."""

from __future__ import annotations

import uuid

from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Call, Json
from localcloud.services.dns.api import api, missing, shown, started, zone_of, zone_resource


def operations(cloud: Cloud) -> Collection:
    """Return the operations, by `ZONE/operations/ID`."""
    return cloud.store.collection("dns.managedZoneOperations")


def recorded(call: Call, zone_key: str, old: Json, new: Json) -> Json:
    """Return the operation that changed a zone. Call it inside a transaction."""
    operation = {
        "kind": "dns#operation",
        "id": call.params.get("clientOperationId") or str(uuid.uuid4()),
        "type": "update",
        "user": call.caller.email,
        "zoneContext": {"oldValue": old, "newValue": new},
    } | started(call)
    operations(call.cloud).put(f"{zone_key}/operations/{operation['id']}", operation)
    return shown(call, operation)


@api.method("dns.managedZoneOperations.get", permission="dns.managedZoneOperations.get", resource=zone_resource)
def get(call: Call) -> Json:
    """Return one operation."""
    found = operations(call.cloud).get(f"{zone_of(call)[0]}/operations/{call.params['operation']}")
    if found is None:
        raise missing("parameters.operation", call.params["operation"])
    return shown(call, found)
