# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Policies of buckets."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import (
    api,
    bucket_key,
    bucket_of,
    condition_failed,
    full_name,
    project_of,
    require,
    uniform,
)


def _shown(name: str, policy: Json) -> Json:
    return {"kind": "storage#policy", "resourceId": bucket_key(name), **policy}


@api.method("storage.buckets.getIamPolicy", permission=None, project=project_of)
def get(call: Call) -> Json:
    """Return the bucket's own policy."""
    name = call.params["bucket"]
    require(call, bucket_of(call), "storage.buckets.getIamPolicy")
    version = int(call.params.get("optionsRequestedPolicyVersion") or 1)
    return _shown(name, call.cloud.permissions.policy(full_name(name), version))


@api.method("storage.buckets.setIamPolicy", permission=None, project=project_of)
def set_policy(call: Call) -> Json:
    """Replace the bucket's own policy."""
    name = call.params["bucket"]
    bucket = bucket_of(call)
    require(call, bucket, "storage.buckets.setIamPolicy")
    bindings = call.body.get("bindings") or []
    if any(b.get("condition") for b in bindings) and not uniform(bucket):
        raise ApiError(
            400, "invalid", "Conditions in a policy need uniform bucket-level access to be enabled on the bucket."
        )
    public = any(m in ("allUsers", "allAuthenticatedUsers") for b in bindings for m in b.get("members") or ())
    if public and bucket["resource"]["iamConfiguration"]["publicAccessPrevention"] == "enforced":
        raise ApiError(
            412,
            "conditionNotMet",
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is "
            "enforced.",
        )
    try:
        policy = call.cloud.permissions.set_policy(
            full_name(name), call.body, convenience=True, project=bucket["project"]
        )
    except ApiError as error:
        if error.code == 409:
            raise condition_failed() from error
        raise
    return _shown(name, policy)
