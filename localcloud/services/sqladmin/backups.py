# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Backup runs, restores, and final backups, which remain after the deletion of their instance."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Work, step
from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin.api import (
    api,
    check_idle,
    check_running,
    engine_errors,
    instance_of,
    instances,
    invalid,
    key_of,
    parts,
    private,
    start,
)
from localcloud.services.sqladmin.documents import as_sql
from localcloud.services.sqladmin.runs import context, new_run
from localcloud.services.sqladmin.steps import inventory, put_inventory


def _key(call: Call, id: str) -> str:
    return f"{key_of(call)}/backupRuns/{id}"


@api.method("sql.backupRuns.insert", permission="cloudsql.backupRuns.create")
def insert(call: Call) -> Json:
    """Start a backup."""
    key = key_of(call)
    with call.cloud.store.transaction():
        instance = instance_of(call)
        check_running(instance)
        check_idle(call.cloud, key)
        described = {name: str(call.body.get(name) or "") for name in ("location", "description")}
        id = new_run(call.cloud, key, "ON_DEMAND", **described)
        return start(call, "backupRuns.create", "BACKUP_VOLUME", {"id": id}, metadata=context(id))


@step("sqladmin.backupRuns.create")
def create(work: Work) -> None:
    """Take a backup and record its databases and users."""
    cloud, key, id = work.cloud, work.args["key"], work.args["id"]
    runs, name = parts(cloud, "backupRuns"), f"{key}/backupRuns/{id}"
    runs.update(name, lambda run: run | {"status": "RUNNING", "startTime": cloud.clock.now()})
    try:
        with engine_errors("Failed to back the instance up"):
            cloud.engine.databases.backup(private(cloud, key)["engine"], id)
    except ApiError:
        runs.update(name, lambda run: run | {"status": "FAILED", "endTime": cloud.clock.now()})
        raise
    with cloud.store.transaction():
        cloud.store.collection("sqladmin.inventories").put(name, inventory(cloud, key))
        runs.update(name, lambda run: run | {"status": "SUCCESSFUL", "endTime": cloud.clock.now()})


@api.method("sql.backupRuns.get", permission="cloudsql.backupRuns.get")
def get(call: Call) -> Json:
    """Return one backup run."""
    instance_of(call)
    return parts(call.cloud, "backupRuns").get(_key(call, call.params["id"]))


@api.method("sql.backupRuns.list", permission="cloudsql.backupRuns.list")
def list_runs(call: Call) -> Json:
    """Return the backup runs of an instance, newest first; instance `-` means all instances."""
    if call.params["instance"] == "-":
        found = parts(call.cloud, "backupRuns").list(f"projects/{call.project}/instances/")
    else:
        instance_of(call)
        found = parts(call.cloud, "backupRuns").list(_key(call, ""))
    found.sort(key=lambda run: int(run["id"]), reverse=True)
    return {"kind": "sql#backupRunsList"} | call.listing("items", found, size="maxResults", default=20)


@api.method("sql.backupRuns.delete", permission="cloudsql.backupRuns.delete")
def delete(call: Call) -> Json:
    """Delete a backup."""
    id = call.params["id"]
    with call.cloud.store.transaction():
        instance_of(call)
        check_idle(call.cloud, key_of(call))
        parts(call.cloud, "backupRuns").update(_key(call, id), lambda run: run | {"status": "DELETION_PENDING"})
        return start(call, "backupRuns.delete", "DELETE_BACKUP", {"id": id}, metadata=context(id))


@step("sqladmin.backupRuns.delete")
def removed(work: Work) -> None:
    """Remove the backup from the engine."""
    cloud, key, id = work.cloud, work.args["key"], work.args["id"]
    with engine_errors("Failed to delete the backup"):
        cloud.engine.databases.delete_backup(private(cloud, key)["engine"], id)
    cloud.store.collection("sqladmin.inventories").delete(f"{key}/backupRuns/{id}")
    parts(cloud, "backupRuns").delete(f"{key}/backupRuns/{id}")


# -- restoring


@api.method("sql.instances.restoreBackup", permission="cloudsql.instances.restoreBackup")
def restore(call: Call) -> Json:
    """Replace all data of the instance with a backup of this or another instance."""
    with call.cloud.store.transaction():
        instance = instance_of(call)
        check_running(instance)
        check_idle(call.cloud, key_of(call))
        if call.body.get("backup"):
            source = _final(call, call.body["backup"])
            args, version = {"backup": source["resource"]["name"]}, source["resource"]["databaseVersion"]
        else:
            asked = call.body.get("restoreBackupContext") or {}
            project = call.cloud.projects.id_of(asked.get("project") or call.project or "")
            source_key = f"projects/{project}/instances/{asked.get('instanceId') or instance['name']}"
            call.require("cloudsql.backupRuns.get", project=project)
            instances(call.cloud).get(source_key)
            run = parts(call.cloud, "backupRuns").find(f"{source_key}/backupRuns/{asked.get('backupRunId')}")
            if run is None or run["status"] != "SUCCESSFUL":
                raise ApiError(404, "backupRunDoesNotExist", "The Cloud SQL backup run does not exist.")
            args, version = {"source": source_key, "id": run["id"]}, run["databaseVersion"]
        if version != instance["databaseVersion"]:
            raise invalid("Invalid request: The backup is of another database version than the instance.")
        return start(call, "restore", "RESTORE_VOLUME", args)


@step("sqladmin.restore")
def restored(work: Work) -> None:
    """Restore a backup, then show its databases and users."""
    cloud, key = work.cloud, work.args["key"]
    if "backup" in work.args:
        backup = cloud.store.collection("sqladmin.backups").get(work.args["backup"])
        if backup is None:
            raise ApiError(404, "backupDoesNotExist", "The backup does not exist.")
        from_id, id, documents = backup["engine"], backup["id"], backup["inventory"]
    else:
        source, id = work.args["source"], work.args["id"]
        from_id = private(cloud, source)["engine"]
        documents = cloud.store.collection("sqladmin.inventories").get(f"{source}/backupRuns/{id}") or {}
    with engine_errors("Failed to restore the backup"):
        cloud.engine.databases.restore(private(cloud, key)["engine"], id, from_id)
    with cloud.store.transaction():
        put_inventory(cloud, key, documents)


# -- final backups


def _final(call: Call, name: str) -> Json:
    project = call.cloud.projects.id_of(name.split("/")[1]) if name.startswith("projects/") else ""
    call.require("cloudsql.backupRuns.get", project=project or None)
    key = f"projects/{project}/backups/{name.rsplit('/', 1)[-1]}"
    found = call.cloud.store.collection("sqladmin.backups").get(key)
    if found is None:
        raise ApiError(404, "backupDoesNotExist", "The backup does not exist.")
    return found


@api.method("sql.Backups.GetBackup", permission=None)
@api.method("sql.backups.getBackup", permission=None)
def get_final(call: Call) -> Json:
    """Return a final backup."""
    resource: Json = _final(call, call.params["name"])["resource"]
    return resource


@api.method("sql.Backups.ListBackups", permission="cloudsql.backupRuns.list")
@api.method("sql.backups.listBackups", permission="cloudsql.backupRuns.list")
def list_final(call: Call) -> Json:
    """Return the final backups of a project."""
    found = call.cloud.store.collection("sqladmin.backups").list(f"projects/{call.project}/backups/")
    return call.listing("backups", [b["resource"] for b in found], default=50)


@api.method("sql.Backups.DeleteBackup", permission="cloudsql.backupRuns.delete")
@api.method("sql.backups.deleteBackup", permission="cloudsql.backupRuns.delete")
def delete_final(call: Call) -> Json:
    """Delete a final backup."""
    resource = _final(call, call.params["name"])["resource"]
    with call.cloud.store.transaction():
        operation = call.cloud.operations.start(
            "sqladmin.backups.delete",
            {"name": resource["name"]},
            service="sqladmin",
            project=call.project or "",
            verb="DELETE_BACKUP",
            target=f"projects/{call.project}/instances/{resource['instance']}",
            user=call.caller.email,
        )
    return as_sql(operation)


@step("sqladmin.backups.delete")
def removed_final(work: Work) -> None:
    """Remove the final backup from the engine."""
    collection = work.cloud.store.collection("sqladmin.backups")
    backup = collection.get(work.args["name"])
    if backup is None:
        return
    with engine_errors("Failed to delete the backup"):
        work.cloud.engine.databases.delete_backup(backup["engine"], backup["id"])
    collection.delete(work.args["name"])
