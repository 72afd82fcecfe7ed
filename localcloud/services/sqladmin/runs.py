# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The documents of new backup runs, and Cloud SQL's automatic backup."""

from __future__ import annotations

from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Json
from localcloud.services.sqladmin.api import instances, parts
from localcloud.services.sqladmin.documents import SQL


def new_run(cloud: Cloud, key: str, type: str, *, location: str = "", description: str = "") -> str:
    """Write the document of a new backup run; returns its id. Call it inside a transaction."""
    instance, prefix = instances(cloud).get(key), f"{key}/backupRuns/"
    used = [int(run["id"]) for run in parts(cloud, "backupRuns").list(prefix)]
    id = str(max([int(cloud.clock.time() * 1000), *(u + 1 for u in used)]))
    run: Json = {
        "kind": "sql#backupRun",
        "id": id,
        "instance": instance["name"],
        "status": "ENQUEUED",
        "type": type,
        "backupKind": "SNAPSHOT",
        "databaseVersion": instance["databaseVersion"],
        "location": location or instance["region"],
        "enqueuedTime": cloud.clock.now(),
        "windowStartTime": cloud.clock.now(),
        "selfLink": f"{SQL}/{prefix}{id}",
    }
    if description:
        run["description"] = description
    parts(cloud, "backupRuns").documents.insert(prefix + id, run)
    return id


def context(id: str) -> Json:
    """Return the metadata of an operation on a backup."""
    return {"backupContext": {"kind": "sql#backupContext", "backupId": id}}


def start_automatic(cloud: Cloud, key: str) -> None:
    """Start an automatic backup. Other writes get 409 until it is done. Call it inside a transaction."""
    id = new_run(cloud, key, "AUTOMATED")
    cloud.operations.start(
        "sqladmin.backupRuns.create",
        {"key": key, "id": id},
        service="sqladmin",
        project=key.split("/")[1],
        verb="BACKUP_VOLUME",
        target=key,
        method="sql.backupRuns.automatic",
        metadata=context(id),
    )
