# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The constraints of organization policies that the local cloud enforces.

Messages are Google's, quoted by users in issues.
"""

from __future__ import annotations

from localcloud.core.errors import ApiError, error_info
from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Bound, Call

LOCATIONS = "constraints/gcp.resourceLocations"
SERVICES = "constraints/gcp.restrictServiceUsage"
# The constraints of all services. The other constraints belong to a service (`Service.constraints`).
COMMON: dict[str, bool | None] = {LOCATIONS: None, SERVICES: None}
# Multi-regions by the group of locations that holds them.
_MULTI_REGIONS = {"eu": ("eu", "europe"), "us": ("us",), "asia": ("asia",)}


def known(cloud: Cloud) -> dict[str, bool | None]:
    """Return all constraints: the default of a boolean constraint, None for a list constraint."""
    return COMMON | dict(cloud.traits.constraints)


def policies(cloud: Cloud) -> Collection:
    """Return the policies of projects, by `PROJECT/CONSTRAINT`."""
    return cloud.store.collection("orgpolicy.policies")


def enforced(cloud: Cloud, project: str, constraint: str) -> bool:
    """Return whether a boolean constraint holds in a project."""
    policy = policies(cloud).get(f"{project}/{constraint}")
    if policy is None or "booleanPolicy" not in policy:
        return bool(cloud.traits.constraints[constraint])
    return bool(policy["booleanPolicy"].get("enforced"))


def allows(cloud: Cloud, project: str, constraint: str, value: str) -> bool:
    """Return whether a list constraint allows a value in a project. Without a policy it allows every value."""
    policy = (policies(cloud).get(f"{project}/{constraint}") or {}).get("listPolicy") or {}
    if policy.get("allValues") == "DENY" or any(_holds(each, value) for each in policy.get("deniedValues") or ()):
        return False
    allowed = policy.get("allowedValues")
    return not allowed or any(_holds(each, value) for each in allowed)


def _holds(entry: str, value: str) -> bool:
    """Return whether an entry of a list policy covers a value; `in:europe-west1-locations` is a group of locations."""
    value = value.lower()
    if entry.startswith("in:"):
        group = entry.removeprefix("in:").removesuffix("-locations").lower()
        region = "europe" if group == "eu" else group
        return value in (region, *_MULTI_REGIONS.get(group, ())) or value.startswith(f"{region}-")
    return entry.removeprefix("is:").removeprefix("under:").lower() == value


def check_service(call: Call, bound: Bound) -> None:
    """Raise 403 if a policy of the resource's project forbids the use of the API."""
    project, host = bound.project(call) if bound.project else call.project, call.service.host
    if project is None or call.service.always_on or allows(call.cloud, project, SERVICES, host):
        return
    consumer = f"projects/{call.cloud.projects.number_of(project)}"
    message = (
        f"Request is disallowed by organization's {SERVICES} constraint for '{consumer}' attempting to use service "
        f"'{host}'."
    )
    info = error_info("RESOURCE_USAGE_RESTRICTION_VIOLATED", "googleapis.com", consumer=consumer, service=host)
    raise ApiError(403, "forbidden", message, [info])
