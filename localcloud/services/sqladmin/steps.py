# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of operations on instances. Every step is idempotent."""

from __future__ import annotations

import importlib
from typing import Any

from localcloud.engine.base import DatabaseSpec
from localcloud.framework.cloud import Cloud, Work, step
from localcloud.framework.service import Json
from localcloud.services.sqladmin import rules as _rules
from localcloud.services.sqladmin.api import (
    addresses,
    engine_errors,
    etag,
    instances,
    literal,
    parts,
    private,
    private_address,
)
from localcloud.services.sqladmin.documents import SQL
from localcloud.services.sqladmin.runs import start_automatic

# A built-in user has no type; an empty type means BUILT_IN.
USER = {"iamStatus": "IAM_STATUS_UNSPECIFIED"}
# The group of all Cloud SQL users, and the roles that Cloud SQL grants to the group.
_SUPERUSER = "cloudsqlsuperuser"
_GRANTS = ("pg_monitor", "pg_signal_backend", "pg_read_all_settings", "pg_read_all_stats", "pg_checkpoint")


def set_state(cloud: Cloud, key: str, state: str, **fields: object) -> None:
    """Write an instance's state."""

    def changed(instance: Json) -> Json:
        instance = {k: v for k, v in (instance | {"state": state} | fields).items() if k != "etag" and v is not None}
        return instance | {"etag": etag(instance)}

    instances(cloud).update(key, changed)


def spec_of(cloud: Cloud, key: str) -> DatabaseSpec:
    """Return the engine's specification of an instance."""
    instance, own = instances(cloud).get(key), private(cloud, key)
    ip_settings = instance["settings"]["ipConfiguration"]
    _, project, _, _, network = ip_settings["privateNetwork"].split("/")
    return DatabaseSpec(
        id=own["engine"],
        version=instance["databaseVersion"],
        network=f"{project}/{network}",
        range_cidr=own["range"],
        ip=private_address(instance),
        server_certificate=own["certificate"],
        server_key=own["key"],
        flags=_rules.flags_of(instance["settings"]),
        require_ssl=ip_settings["sslMode"] != "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
    )


def has_role(cloud: Cloud, engine: str, name: str) -> bool:
    """Return whether a role exists."""
    return bool(cloud.engine.databases.execute(engine, f"SELECT 1 FROM pg_roles WHERE rolname = {literal(name)};"))  # noqa: S608


def _furnish(cloud: Cloud, engine: str, verifier: str | None) -> None:
    """Create the roles and grants of a new Cloud SQL server."""
    run = cloud.engine.databases.execute
    if not has_role(cloud, engine, _SUPERUSER):
        run(engine, f"CREATE ROLE {_SUPERUSER} NOLOGIN CREATEDB CREATEROLE;")
    run(engine, f"GRANT {', '.join(_GRANTS)} TO {_SUPERUSER} WITH ADMIN OPTION;")
    if not has_role(cloud, engine, "postgres"):
        run(engine, f"CREATE ROLE postgres LOGIN CREATEDB CREATEROLE IN ROLE {_SUPERUSER};")
    if verifier:
        run(engine, f"ALTER ROLE postgres PASSWORD {literal(verifier)};")
    run(engine, f"ALTER DATABASE postgres OWNER TO {_SUPERUSER};")


def _register(cloud: Cloud, key: str) -> None:
    """Write the documents of the databases and users of a new server."""
    _, project, _, name = key.split("/")
    common = {"instance": name, "project": project}
    database: Json = {
        "kind": "sql#database",
        "name": "postgres",
        "charset": "UTF8",
        "collation": "en_US.UTF8",
        "selfLink": f"{SQL}/{key}/databases/postgres",
    } | common
    user: Json = {"kind": "sql#user", "name": "postgres", "host": ""} | USER | common
    parts(cloud, "databases").documents.put(f"{key}/databases/postgres", database | {"etag": etag(database)})
    parts(cloud, "users").documents.put(f"{key}/users/postgres", user | {"etag": etag(user)})


def _failed(work: Work) -> None:
    """Keep an instance whose creation failed, until it is deleted."""
    if instances(work.cloud).find(work.args["key"]):
        set_state(work.cloud, work.args["key"], "FAILED")


@step("sqladmin.create", on_error=_failed)
def create(work: Work) -> None:
    """Create the server."""
    cloud, key = work.cloud, work.args["key"]
    spec = spec_of(cloud, key)
    with engine_errors("Failed to create the instance"):
        cloud.engine.databases.create(spec)
        _furnish(cloud, spec.id, work.args.get("verifier"))
        _settle(cloud, key)
    with cloud.store.transaction():
        _register(cloud, key)
        set_state(cloud, key, "RUNNABLE")
        recovers = instances(cloud).get(key)["settings"]["backupConfiguration"].get("pointInTimeRecoveryEnabled")
        if recovers and cloud.profiles.of(work.operation["project"]).sql_first_backup:
            start_automatic(cloud, key)


def _networking() -> Any:
    # Imported late: the other service's module may import this module later.
    return importlib.import_module("localcloud.services.servicenetworking.connections")


def _settle(cloud: Cloud, key: str) -> None:
    """Stop the server if its activation policy says so."""
    if instances(cloud).get(key)["settings"]["activationPolicy"] == "NEVER":
        cloud.engine.databases.stop(private(cloud, key)["engine"])


@step("sqladmin.update")
def update(work: Work) -> None:
    """Apply the new settings to the server, then show them."""
    cloud, key, new = work.cloud, work.args["key"], work.args["settings"]
    if "move" in work.args:
        _move(work)
    databases, own = cloud.engine.databases, private(cloud, key)
    old = instances(cloud).get(key)["settings"]
    engine = own["engine"]
    with engine_errors("Failed to update the instance"):
        required = new["ipConfiguration"]["sslMode"] != "ALLOW_UNENCRYPTED_AND_ENCRYPTED"
        if old["ipConfiguration"]["sslMode"] != new["ipConfiguration"]["sslMode"]:
            databases.set_require_ssl(engine, required)
        runs = databases.running(engine)
        changed = _rules.flags_of(old) != _rules.flags_of(new)
        if changed or (runs and old["tier"] != new["tier"]):
            databases.restart(engine, _rules.flags_of(new) if changed else None)
            runs = True
        if new["activationPolicy"] == "NEVER" and runs:
            databases.stop(engine)
        elif new["activationPolicy"] == "ALWAYS" and not runs:
            databases.start(engine)
    instance = instances(cloud).get(key)
    found = addresses(private_address(instance), new)
    zone = new["locationPreference"]["zone"]
    standby = _rules.standby(instance["region"], zone, new)
    set_state(cloud, key, "RUNNABLE", settings=new, gceZone=zone, ipAddresses=found, **standby)


def _move(work: Work) -> None:
    """Move the server with its data to another network. Its backups stay."""
    cloud, key, to = work.cloud, work.args["key"], work.args["move"]
    databases, own, backup = cloud.engine.databases, private(cloud, key), f"move-{work.operation['name']}"
    instance = instances(cloud).get(key)
    before, engine = private_address(instance), own["engine"]
    with engine_errors("Failed to move the instance"):
        if before != to["ip"]:  # else this step runs again: the backup exists
            databases.start(engine)
            databases.backup(engine, backup)
            settings = instance["settings"] | {"ipConfiguration": work.args["settings"]["ipConfiguration"]}
            with cloud.store.transaction():
                set_state(cloud, key, instance["state"], settings=settings, ipAddresses=addresses(to["ip"], settings))
                cloud.store.collection("sqladmin.private").put(key, own | {"range": to["range"]})
                network = instance["settings"]["ipConfiguration"]["privateNetwork"]
                _networking().release(cloud, network, before)
        databases.delete(engine)
        databases.create(spec_of(cloud, key))
        databases.restore(engine, backup, engine)
        databases.delete_backup(engine, backup)


@step("sqladmin.delete")
def delete(work: Work) -> None:
    """Remove the server, its backups and all documents."""
    cloud, key = work.cloud, work.args["key"]
    instance = instances(cloud).find(key)
    if instance is None:
        return
    own, databases = private(cloud, key), cloud.engine.databases
    final = work.args.get("final")
    with engine_errors("Failed to delete the instance"):
        if final and databases.running(own["engine"]):
            databases.backup(own["engine"], final)
            _keep_final(work, instance, own)
        databases.delete(own["engine"])
        for name, _ in parts(cloud, "backupRuns").documents.items(f"{key}/backupRuns/"):
            databases.delete_backup(own["engine"], name.rsplit("/", 1)[1])
    with cloud.store.transaction():
        network = instance["settings"]["ipConfiguration"]["privateNetwork"]
        _networking().release(cloud, network, private_address(instance))
        for kind in ("databases", "users", "backupRuns"):
            for name, _ in parts(cloud, kind).documents.items(f"{key}/{kind}/"):
                parts(cloud, kind).delete(name)
        for name, _ in cloud.store.collection("sqladmin.inventories").items(f"{key}/"):
            cloud.store.collection("sqladmin.inventories").delete(name)
        cloud.store.collection("sqladmin.private").delete(key)
        instances(cloud).delete(key)


def _keep_final(work: Work, instance: Json, own: Json) -> None:
    cloud, id = work.cloud, work.args["final"]
    name = f"projects/{instance['project']}/backups/{id}"
    backup = {
        "kind": "sql#backup",
        "name": name,
        "selfLink": f"{SQL}/{name}",
        "type": "FINAL",
        "description": work.args["description"],
        "instance": instance["name"],
        "location": instance["region"],
        "state": "SUCCESSFUL",
        "backupKind": "SNAPSHOT",
        "databaseVersion": instance["databaseVersion"],
        "backupInterval": {"startTime": work.operation["insertTime"], "endTime": cloud.clock.now()},
        "instanceDeletionTime": cloud.clock.now(),
    }
    document = {"engine": own["engine"], "id": id, "resource": backup, "inventory": inventory(cloud, work.args["key"])}
    cloud.store.collection("sqladmin.backups").put(name, document)


# -- databases and users of a server, stored with its backups


def inventory(cloud: Cloud, key: str) -> Json:
    """Return the documents of an instance's databases and users."""
    return {kind: parts(cloud, kind).list(f"{key}/{kind}/") for kind in ("databases", "users")}


def put_inventory(cloud: Cloud, key: str, documents: Json) -> None:
    """Replace an instance's databases and users with an inventory. Call it inside a transaction."""
    name = key.rsplit("/", 1)[1]
    for kind, items in documents.items():
        collection = parts(cloud, kind).documents
        for old, _ in collection.items(f"{key}/{kind}/"):
            collection.delete(old)
        for item in items:
            item = item | {"instance": name}
            if "selfLink" in item:
                item["selfLink"] = f"{SQL}/{key}/{kind}/{item['name']}"
            collection.put(f"{key}/{kind}/{item['name']}", item)
