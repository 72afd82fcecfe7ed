# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Buckets."""

from __future__ import annotations

import ipaddress
import re
from functools import partial

from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework import constraints
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import (
    GOOGLE,
    NotModified,
    api,
    bucket_key,
    bucket_of,
    buckets,
    check_preconditions,
    etag,
    full_name,
    project_of,
    require,
)
from localcloud.services.storage.blobs import blobs
from localcloud.services.storage.documents import Objects, timestamp
from localcloud.services.storage.multipart_uploads import ABORT, MultipartUploads

_MULTI = ("US", "EU", "ASIA")
_DUAL = ("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4")
_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY")
# Output-only fields, which clients send back after a read, and fields that a client may not set.
_OUTPUT = (
    "kind", "id", "selfLink", "projectNumber", "timeCreated", "updated", "metageneration", "etag", "locationType",
    "acl", "owner", "generation", "softDeleteTime", "hardDeleteTime", "satisfiesPZI", "satisfiesPZS",
    "defaultObjectAcl",
)  # fmt: skip
_FIXED = ("name", "location", "customPlacementConfig", "hierarchicalNamespace", "objectRetention")
_DAY = 86400
_WEEK = 7 * _DAY
_ACTIONS = ("Delete", "SetStorageClass", ABORT)
_ABORT_CONDITIONS = {"age", "matchesPrefix", "matchesSuffix"}


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid", message)


def check_name(name: str) -> None:
    """Raise 400 for an invalid bucket name."""
    labels = name.split(".")
    good = (
        3 <= len(name) <= (222 if len(labels) > 1 else 63)
        and re.fullmatch(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", name)
        and all(0 < len(label) <= 63 and not label.startswith("-") and not label.endswith("-") for label in labels)
        and not name.startswith("goog")
        and not re.search(r"g[o0]{2}g[l1]e", name)
    )
    if good:
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            return
    raise _invalid(f"Invalid bucket name: '{name}'")


def _location_type(location: str) -> str:
    if location in _MULTI:
        return "multi-region"
    if location in _DUAL:
        return "dual-region"
    if not re.fullmatch(r"[A-Z]+-[A-Z]+[0-9]+", location):
        raise _invalid(f"The specified location constraint is not valid: '{location}'.")
    return "region"


def _normalize(bucket: Json, before: Json, call: Call) -> Json:
    """Return the bucket after a change with defaults, derived fields and checks; `before` is {} for a new bucket."""
    now = call.cloud.clock.now()
    iam: Json = dict(bucket.get("iamConfiguration") or {})
    old_iam = before.get("iamConfiguration") or {}
    access = dict(iam.get("uniformBucketLevelAccess") or {})
    alias = iam.get("bucketPolicyOnly") or {}
    was = bool((old_iam.get("uniformBucketLevelAccess") or {}).get("enabled"))
    # Both names are accepted: the value that differs from the stored value is the change.
    enabled = bool(access.get("enabled", alias.get("enabled", False)))
    if bool(alias.get("enabled", enabled)) != was:
        enabled = bool(alias.get("enabled", enabled))
    setting: Json = {"enabled": enabled}
    if enabled:
        locked = (old_iam.get("uniformBucketLevelAccess") or {}).get("lockedTime")
        setting["lockedTime"] = locked or timestamp(call.cloud.clock.time() + 90 * _DAY)
    prevention = iam.get("publicAccessPrevention") or "inherited"
    if prevention == "unspecified":
        prevention = "inherited"
    if prevention not in ("inherited", "enforced"):
        raise _invalid(f"Invalid argument: '{prevention}' is not a public access prevention.")
    bucket["iamConfiguration"] = {
        "bucketPolicyOnly": dict(setting),
        "publicAccessPrevention": prevention,
        "uniformBucketLevelAccess": setting,
    }
    _check_labels(bucket)
    _check_lifecycle(bucket)
    bucket["storageClass"] = str(bucket.get("storageClass") or "STANDARD").upper()
    if bucket["storageClass"] not in _CLASSES:
        raise _invalid(f"Invalid argument: storage class {bucket['storageClass']}.")
    _complete_autoclass(bucket, before, now)
    seconds = str((bucket.get("softDeletePolicy") or {}).get("retentionDurationSeconds", _WEEK))
    if seconds != "0" and not _WEEK <= int(seconds) <= 90 * _DAY:
        raise _invalid("The soft delete retention duration must be 0 or between 7 and 90 days.")
    old = before.get("softDeletePolicy") or {}
    since = old.get("effectiveTime") if old.get("retentionDurationSeconds") == seconds else None
    bucket["softDeletePolicy"] = {"retentionDurationSeconds": seconds, "effectiveTime": since or now}
    retention = bucket.get("retentionPolicy")
    if (before.get("retentionPolicy") or {}).get("isLocked"):
        kept = int(before["retentionPolicy"]["retentionPeriod"])
        if not retention or int(retention.get("retentionPeriod") or 0) < kept:
            raise ApiError(
                403,
                "forbidden",
                f"Cannot reduce retention duration of a locked Retention Policy for bucket '{bucket['name']}'.",
            )
    if retention:
        if int(retention.get("retentionPeriod") or 0) <= 0:
            raise _invalid("Retention period must be greater than zero.")
        retention.setdefault("effectiveTime", now)
    return bucket


def _complete_autoclass(bucket: Json, before: Json, now: str) -> None:
    """Set the bucket's class to STANDARD, regardless of the request: Autoclass chooses the class of each object."""
    autoclass, old = bucket.get("autoclass"), before.get("autoclass") or {}
    if not autoclass or not autoclass.get("enabled"):
        return
    terminal = autoclass.get("terminalStorageClass") or "NEARLINE"
    if terminal not in ("NEARLINE", "ARCHIVE"):
        raise _invalid(f"Invalid argument: terminal storage class {terminal}.")
    same = old.get("terminalStorageClass") == terminal
    bucket["storageClass"] = "STANDARD"
    bucket["autoclass"] = {
        "enabled": True,
        "toggleTime": old["toggleTime"] if old.get("enabled") else now,
        "terminalStorageClass": terminal,
        "terminalStorageClassUpdateTime": old["terminalStorageClassUpdateTime"] if same else now,
    }


def _check_labels(bucket: Json) -> None:
    labels = bucket.get("labels") or {}
    if len(labels) > 64:
        raise _invalid("A bucket has at most 64 labels.")
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise _invalid(f"Invalid label: '{key}: {value}'.")
    if not labels:
        bucket.pop("labels", None)


def _check_lifecycle(bucket: Json) -> None:
    rules = (bucket.get("lifecycle") or {}).get("rule") or []
    for rule in rules:
        kind = (rule.get("action") or {}).get("type")
        if kind not in _ACTIONS:
            raise _invalid(f"Invalid lifecycle action: '{kind}'.")
        if kind == "SetStorageClass" and rule["action"].get("storageClass") not in _CLASSES:
            raise _invalid("A SetStorageClass action needs a storage class.")
        if not rule.get("condition"):
            raise _invalid("A lifecycle management rule must have at least one condition.")
        unknown = sorted(rule["condition"].keys() - _ABORT_CONDITIONS) if kind == ABORT else []
        if unknown:  # The text is not Google's.
            raise _invalid(f"The action {ABORT} does not support the condition {unknown[0]}.")
    if not rules:
        bucket.pop("lifecycle", None)


def shown(call: Call, bucket: Json) -> Json:
    """Return a bucket as its callers see it."""
    return dict(bucket["resource"])


@api.method("storage.buckets.insert", permission="storage.buckets.create")
def insert(call: Call) -> Json:
    """Create a bucket. Its name is unique among all projects."""
    name = str(call.body.get("name") or "")
    if not name:
        raise ApiError(400, "required", "Required parameter: name")
    check_name(name)
    project = call.project
    if project is None or call.cloud.projects.get(project) is None:
        raise _invalid("Unknown project id: 0")
    resource = {k: v for k, v in call.body.items() if k not in _OUTPUT and v is not None}
    location = str(resource.get("location") or "US").upper()
    if not constraints.allows(call.cloud, project, constraints.LOCATIONS, location):
        message = f"'{location.lower()}' violates constraint '{constraints.LOCATIONS}'"
        raise ApiError(412, "conditionNotMet", message)
    now = call.cloud.clock.now()
    resource = _normalize(resource, {}, call) | {
        "kind": "storage#bucket",
        "id": name,
        "selfLink": f"{GOOGLE}/b/{name}",
        "projectNumber": call.cloud.projects.number_of(project),
        "generation": str(int(call.cloud.clock.time() * 1_000_000)),
        "metageneration": "1",
        "etag": etag(1),
        "location": location,
        "locationType": _location_type(location),
        "timeCreated": now,
        "updated": now,
    }
    if resource["locationType"] != "region":
        resource.setdefault("rpo", "DEFAULT")
    resource.pop("objectRetention", None)
    if call.params.get("enableObjectRetention"):
        resource["objectRetention"] = {"mode": "Enabled"}
    document = {"project": project, "resource": resource}
    with call.cloud.store.transaction():
        try:
            buckets(call).documents.insert(bucket_key(name), document)
        except AlreadyExists:
            raise _taken(call, name, project) from None
        _default_policies(
            call, name, project, bool(resource["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"])
        )
    return shown(call, document)


def _taken(call: Call, name: str, project: str) -> ApiError:
    if bucket_of(call, name)["project"] == project:
        return ApiError(
            409, "conflict", "Your previous request to create the named bucket succeeded and you already own it."
        )
    return ApiError(
        409,
        "conflict",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
    )


def _default_policies(call: Call, name: str, project: str, is_uniform: bool) -> None:
    writers = [f"projectEditor:{project}", f"projectOwner:{project}"]
    readers = [f"projectViewer:{project}"]
    on_bucket = [
        {"role": "roles/storage.legacyBucketOwner", "members": writers},
        {"role": "roles/storage.legacyBucketReader", "members": readers},
    ]
    on_objects = [
        {"role": "roles/storage.legacyObjectOwner", "members": writers},
        {"role": "roles/storage.legacyObjectReader", "members": readers},
    ]
    set_policy = partial(call.cloud.permissions.set_policy, convenience=True, initial=True)
    set_policy(full_name(name), {"bindings": on_bucket + (on_objects if is_uniform else [])})
    # The grants of the default access list of new objects, which apply until access is uniform.
    set_policy(full_name(name, "acl"), {"bindings": on_objects})


@api.method("storage.buckets.get", permission=None, project=project_of)
def get(call: Call) -> Json | Response:
    """Return one bucket."""
    bucket = bucket_of(call)
    require(call, bucket, "storage.buckets.get")
    if call.params.get("softDeleted"):
        raise ApiError(404, "notFound", "The specified bucket does not exist.")
    try:
        check_preconditions(call.params, bucket["resource"], reading=True)
    except NotModified:
        return Response(status_code=304)
    return shown(call, bucket)


@api.method("storage.buckets.list", permission="storage.buckets.list")
def list_buckets(call: Call) -> Json:
    """Return the buckets of a project."""
    answer: Json = {"kind": "storage#buckets"}
    if call.params.get("softDeleted"):
        return answer
    prefix = call.params.get("prefix") or ""
    found = [b for b in buckets(call).list(bucket_key(prefix)) if b["project"] == call.project]
    return answer | call.listing("items", [shown(call, b) for b in found], size="maxResults", default=1000)


@api.method("storage.buckets.patch", permission=None, project=project_of)
def patch(call: Call) -> Json:
    """Merge a change. Null removes a field."""
    name = call.params["bucket"]
    require(call, bucket_of(call), "storage.buckets.update")
    change = {k: v for k, v in call.body.items() if k not in _OUTPUT and k not in _FIXED}

    def changed(document: Json) -> Json:
        old = document["resource"]
        check_preconditions(call.params, old)
        if not call.body:
            return document  # an empty patch changes nothing
        number = int(old["metageneration"]) + 1
        new = _normalize(merge(old, change), old, call)
        new |= {"metageneration": str(number), "etag": etag(number), "updated": call.cloud.clock.now()}
        return document | {"resource": new}

    return shown(call, buckets(call).update(bucket_key(name), changed))


@api.method("storage.buckets.delete", permission=None, project=project_of)
def delete(call: Call) -> None:
    """Delete an empty bucket. Noncurrent generations count as objects; softly deleted objects and uploads do not."""
    name = call.params["bucket"]
    require(call, bucket_of(call), "storage.buckets.delete")
    objects = Objects(call.cloud, name)
    with call.cloud.store.transaction():
        check_preconditions(call.params, bucket_of(call)["resource"])
        if objects.any():
            raise ApiError(409, "conflict", "The bucket you tried to delete is not empty.")
        gone = objects.forget() + MultipartUploads(call.cloud, bucket_of(call)).forget()
        buckets(call).delete(bucket_key(name))
        call.cloud.permissions.forget(full_name(name))
    blobs(call.cloud).delete(*gone)


@api.method("storage.buckets.getStorageLayout", permission=None, project=project_of)
def layout(call: Call) -> Json:
    """Return the location and layout of a bucket."""
    bucket = bucket_of(call)
    require(call, bucket, "storage.objects.list")
    resource = bucket["resource"]
    answer = {
        "kind": "storage#storageLayout",
        "bucket": resource["name"],
        "location": resource["location"],
        "locationType": resource["locationType"],
    }
    if resource.get("hierarchicalNamespace"):
        answer["hierarchicalNamespace"] = resource["hierarchicalNamespace"]
    return answer
