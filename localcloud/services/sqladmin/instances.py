# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Database instances."""

from __future__ import annotations

import datetime
import importlib
import re
import uuid

from localcloud.core.errors import ApiError
from localcloud.framework import constraints
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin import rules as _rules
from localcloud.services.sqladmin.api import (
    addresses,
    api,
    check_idle,
    check_running,
    etag,
    instance_of,
    instances,
    invalid,
    key_of,
    start,
)
from localcloud.services.sqladmin.documents import SQL
from localcloud.services.sqladmin.secrets import issue, verifier

_READ_ONLY_ON_CHANGE = ("region", "databaseVersion", "gceZone")


def _stamped(instance: Json) -> Json:
    rest = {k: v for k, v in instance.items() if k != "etag" and v is not None}
    return rest | {"etag": etag(rest)}


def _new(call: Call, body: Json, name: str) -> Json:
    """Return the document of a new instance, without its address."""
    project = call.project or ""
    version, region = str(body.get("databaseVersion") or ""), str(body.get("region") or "us-central1")
    _rules.check_version(version)
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+", region):
        raise invalid(f"Invalid request: Invalid region ({region}).", "invalidRegion")
    if not constraints.allows(call.cloud, project, constraints.LOCATIONS, region):
        where = f"'{region}' violates constraint '{constraints.LOCATIONS}' on the resource 'projects/{project}'"
        raise ApiError(412, "conditionNotMet", f"Invalid request: {where}.")
    if body.get("instanceType") not in (None, "CLOUD_SQL_INSTANCE") or body.get("masterInstanceName"):
        raise ApiError(501, None, "Read replicas are not in the local cloud.")
    zone = (body.get("settings") or {}).get("locationPreference", {}).get("zone") or body.get("gceZone")
    settings = _rules.complete(body.get("settings") or {}, version, region, zone, call.cloud.projects.id_of)
    settings["settingsVersion"] = "1"
    number = call.cloud.projects.number_of(project)
    return {
        "kind": "sql#instance",
        "name": name,
        "project": project,
        "region": region,
        "gceZone": settings["locationPreference"]["zone"],
        "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE",
        "connectionName": f"{project}:{region}:{name}",
        "createTime": call.cloud.clock.now(),
        "databaseVersion": version,
        "databaseInstalledVersion": _rules.VERSIONS[version],
        "maintenanceVersion": f"{_rules.VERSIONS[version]}.R20260901.01_00",
        "sqlNetworkArchitecture": "NEW_NETWORK_ARCHITECTURE",
        "serviceAccountEmailAddress": f"p{number}-{uuid.uuid4().hex[:6]}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
        "settings": settings,
        "state": "PENDING_CREATE",
    } | _rules.standby(region, settings["locationPreference"]["zone"], settings)


def _allocate(call: Call, network: str) -> tuple[str, str]:
    # Imported late: the other service's module may import this module later.
    networking = importlib.import_module("localcloud.services.servicenetworking.connections")
    try:
        ip, cidr = networking.allocate(call.cloud, network)
    except ApiError as error:
        raise invalid(error.message) from error
    return ip, cidr


def _place(call: Call, key: str, document: Json) -> None:
    """Write a new instance with an address of its network's peered range. Call it inside a transaction."""
    network = document["settings"]["ipConfiguration"]["privateNetwork"]
    ip, cidr = _allocate(call, network)
    document["ipAddresses"] = addresses(ip, document["settings"])
    project, name = document["project"], document["name"]
    certificates = issue(project, name, f"{SQL}/{key}", datetime.datetime.now(datetime.UTC))
    document["serverCaCert"] = certificates.authority
    instances(call.cloud).create(key, _stamped(document))
    engine = re.sub(r"[^a-z0-9-]", "-", f"{project}-{name}")[:50] + "-" + uuid.uuid4().hex[:8]
    call.cloud.store.collection("sqladmin.private").put(
        key, {"engine": engine, "range": cidr, "certificate": certificates.certificate, "key": certificates.key}
    )


@api.method("sql.instances.insert", permission="cloudsql.instances.create")
def insert(call: Call) -> Json:
    """Create an instance. Its network must have a private services connection."""
    name = str(call.body.get("name") or "")
    _rules.check_name(call.project or "", name)
    key = f"projects/{call.project}/instances/{name}"
    password = call.body.get("rootPassword")
    document = _new(call, call.body, name)
    args = {"verifier": verifier(password)} if password else {}
    with call.cloud.store.transaction():
        if instances(call.cloud).find(key):
            instances(call.cloud).create(key, document)  # raises the 409
        _place(call, key, document)
        return start(call, "create", "CREATE", args, key=key)


@api.method("sql.instances.get", permission="cloudsql.instances.get")
def get(call: Call) -> Json:
    """Return one instance."""
    return instance_of(call)


@api.method("sql.instances.list", permission="cloudsql.instances.list")
def list_instances(call: Call) -> Json:
    """Return the instances of a project; `filter` supports equality of `name`, `state`, `region` and labels."""
    found = instances(call.cloud).list(f"projects/{call.project}/instances/")
    found = [i for i in found if _passes(i, call.params.get("filter") or "")]
    return {"kind": "sql#instancesList"} | call.listing("items", found, size="maxResults", default=500)


def _passes(instance: Json, text: str) -> bool:
    for term in filter(None, re.split(r"\s+AND\s+|\s+(?![:=])", text.strip())):
        found = re.fullmatch(r'([\w.-]+)\s*[:=]\s*"?([^"]*)"?', term)
        if not found:
            raise invalid(f"Invalid filter: {term}", "invalidFilter")
        value: object = instance
        for part in found[1].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if str(value) != found[2]:
            return False
    return True


def _move(call: Call, old: Json, new: Json) -> Json:
    """Allocate an address on another network if the new settings name it. Call it inside a transaction."""
    network = new["ipConfiguration"]["privateNetwork"]
    if network == old["ipConfiguration"]["privateNetwork"]:
        return {}
    ip, cidr = _allocate(call, network)
    return {"move": {"ip": ip, "range": cidr}}


def _change(call: Call, settings_of: str) -> Json:
    key = key_of(call)
    with call.cloud.store.transaction():
        instance = instance_of(call)
        check_idle(call.cloud, key)
        if instance["state"] == "FAILED":
            raise invalid("Invalid request: Invalid request since instance is not running.")
        old, given = instance["settings"], call.body.get("settings") or {}
        version = given.get("settingsVersion")
        if settings_of == "update" and not version:
            raise ApiError(400, "required", "Missing parameter: settingsVersion.")
        if version and version != old["settingsVersion"]:
            raise ApiError(412, "staleData", "Condition does not match.")
        for field in _READ_ONLY_ON_CHANGE:
            if call.body.get(field) not in (None, instance.get(field)):
                if field == "databaseVersion":
                    raise ApiError(501, None, "Upgrades of the major version are not in the local cloud.")
                raise invalid(f"Invalid request: {field} cannot be changed.")
        new = merge(old, given) if settings_of == "patch" else dict(given)
        new = _rules.complete(
            new, instance["databaseVersion"], instance["region"], instance["gceZone"], call.cloud.projects.id_of
        )
        backup = new["backupConfiguration"]
        backup["replicationLogArchivingEnabled"] = bool(backup.get("pointInTimeRecoveryEnabled"))
        _rules.check_change(old, new)
        new["settingsVersion"] = str(int(old["settingsVersion"]) + 1)
        return start(call, "update", "UPDATE", {"settings": new} | _move(call, old, new))


@api.method("sql.instances.patch", permission="cloudsql.instances.update")
def patch(call: Call) -> Json:
    """Merge a change of settings; objects merge, lists replace."""
    return _change(call, "patch")


@api.method("sql.instances.update", permission="cloudsql.instances.update")
def update(call: Call) -> Json:
    """Replace the settings. Omitted settings get their default."""
    return _change(call, "update")


@api.method("sql.instances.delete", permission="cloudsql.instances.delete")
def delete(call: Call) -> Json:
    """Delete an instance with its backups. The call may request a final backup."""
    key = key_of(call)
    with call.cloud.store.transaction():
        instance = instance_of(call)
        check_idle(call.cloud, key)
        if instance["settings"].get("deletionProtectionEnabled"):
            raise invalid(
                "The instance is protected. Please disable the deletion protection and try again. To disable deletion "
                "protection, update the instance settings with deletionProtectionEnabled set to false.",
                "invalidRequest",
            )
        args: Json = {}
        if call.params.get("enableFinalBackup"):
            check_running(instance)
            args = {"final": str(uuid.uuid4()), "description": call.params.get("finalBackupDescription") or ""}
        instances(call.cloud).update(key, lambda i: _stamped(i | {"state": "PENDING_DELETE"}))
        return start(call, "delete", "DELETE", args)
