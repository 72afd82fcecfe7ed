# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A project in Compute Engine: its common metadata and its default service account."""

from __future__ import annotations

import contextlib

from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework.cloud import Cloud
from localcloud.framework.lifecycle import fingerprint, same_fingerprint
from localcloud.framework.service import Call, Json
from localcloud.services.compute import constraints
from localcloud.services.compute.api import api, link, operation

_DOMAIN = "developer.gserviceaccount.com"
_VALUE_LIMIT = 256 * 1024
_TOTAL_LIMIT = 512 * 1024


def default_account(cloud: Cloud, project: str) -> str:
    """Return the email of a project's default service account. Creates the account once: it can be deleted."""
    account = f"{cloud.projects.number_of(project)}-compute"
    made = cloud.store.collection("compute.defaultAccounts")
    with cloud.store.transaction():
        if made.get(project) is None:
            made.put(project, {})
            fields = {"displayName": "Compute Engine default service account"}
            with contextlib.suppress(AlreadyExists):  # an older local cloud created the account
                cloud.accounts.create(project, account, fields, domain=_DOMAIN)
    return f"{account}@{_DOMAIN}"


def metadata_document(items: list[Json]) -> Json:
    """Return metadata of a project or an instance with its fingerprint. Raises 400 for invalid values."""
    total = 0
    seen: set[str] = set()
    for item in items:
        key, value = str(item.get("key") or ""), str(item.get("value") or "")
        if not key or len(key) > 128 or not all(c.isalnum() or c in "-_" for c in key):
            raise ApiError(400, "invalid", f"Invalid value for field 'metadata.items': '{key}' is not a valid key.")
        if key in seen:
            raise ApiError(400, "invalid", f"Invalid value for field 'metadata.items': duplicate key '{key}'.")
        seen.add(key)
        total += len(key) + len(value)
        if len(value.encode()) > _VALUE_LIMIT or total > _TOTAL_LIMIT:
            raise ApiError(413, "uploadTooLarge", f"The value of metadata key '{key}' is too large.")
    document: Json = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
    return document | ({"items": items} if items else {})


def check_metadata(stored: Json, body: Json) -> None:
    """Raise 412 unless the body contains the stored metadata's fingerprint."""
    if not same_fingerprint(body.get("fingerprint"), stored["fingerprint"]):
        raise ApiError(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")


def common_metadata(cloud: Cloud, project: str) -> Json:
    """Return the metadata that all instances of a project share."""
    return cloud.store.collection("compute.projects").get(project) or metadata_document([])


@api.method("compute.projects.get", permission="compute.projects.get")
def get(call: Call) -> Json:
    """Return the project."""
    name = call.project or ""
    project = call.cloud.projects.get(name)
    if project is None:
        raise ApiError(404, "notFound", f"The resource 'projects/{name}' was not found")
    return {
        "kind": "compute#project",
        "id": project["projectNumber"],
        "name": name,
        "creationTimestamp": project["createTime"],
        "commonInstanceMetadata": common_metadata(call.cloud, name),
        "defaultServiceAccount": default_account(call.cloud, name),
        "defaultNetworkTier": "PREMIUM",
        "quotas": [],
        "selfLink": link(f"projects/{name}"),
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "vmDnsSetting": "ZONAL_ONLY",
    }


@api.method("compute.projects.setCommonInstanceMetadata", permission="compute.projects.setCommonInstanceMetadata")
def set_common_metadata(call: Call) -> Json:
    """Replace the common metadata; needs its fingerprint."""
    project = call.project or ""
    items = call.body.get("items") or []
    document = metadata_document(items)
    metadata = {str(item.get("key")): str(item.get("value")) for item in items}
    constraints.check_metadata(call.cloud, project, metadata)

    def update() -> Json:
        check_metadata(common_metadata(call.cloud, project), call.body)
        call.cloud.store.collection("compute.projects").put(project, document)
        return {"id": call.cloud.projects.number_of(project)}

    return operation(call, "setCommonInstanceMetadata", f"projects/{project}", update)
