# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Data that does not depend on an instance: flags and machine types."""

from __future__ import annotations

from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin.api import api
from localcloud.services.sqladmin.flags import FLAGS
from localcloud.services.sqladmin.rules import VERSIONS

_GIB = 2**30
_TIERS = {"db-f1-micro": 0.6, "db-g1-small": 1.7, "db-perf-optimized-N-2": 16, "db-perf-optimized-N-4": 32}
_REGIONS = ["europe-west1", "us-central1"]


@api.method("sql.flags.list", permission=None)
def flags(call: Call) -> Json:
    """Return the flags that instances accept."""
    version = call.params.get("databaseVersion")
    if version and version not in VERSIONS:
        return {"kind": "sql#flagsList"}
    items = []
    for name, (kind, low, high, restart) in FLAGS.items():
        item: Json = {
            "kind": "sql#flag",
            "name": name,
            "type": kind,
            "appliesTo": list(VERSIONS),
            "requiresRestart": restart,
        }
        if low is not None and high is not None and kind == "INTEGER":
            item |= {"minValue": str(low), "maxValue": str(high)}
        items.append(item)
    return {"kind": "sql#flagsList", "items": items}


@api.method("sql.tiers.list", permission="cloudsql.instances.list")
def tiers(call: Call) -> Json:
    """Return some predefined machine types; `db-custom-CPUS-MEMORY` is accepted, too."""
    items = [
        {
            "kind": "sql#tier",
            "tier": name,
            "RAM": str(int(memory * _GIB)),
            "DiskQuota": str(64 * 1024 * _GIB),
            "region": _REGIONS,
        }
        for name, memory in _TIERS.items()
    ]
    return {"kind": "sql#tiersList", "items": items}
