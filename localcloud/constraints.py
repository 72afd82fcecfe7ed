# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The constraints of organization policies that the local cloud enforces.

Messages are Google's, quoted by users in issues. The messages for requireOsLogin and disableGuestAttributesAccess are
unproven; only their effect is documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.errors import ApiError, error_info

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.service import Bound, Call
    from localcloud.store import Collection

NO_DEFAULT_NETWORK = "constraints/compute.skipDefaultNetworkCreation"
NO_DEFAULT_GRANTS = "constraints/iam.automaticIamGrantsForDefaultServiceAccounts"
NO_KEYS = "constraints/iam.disableServiceAccountKeyCreation"
OS_LOGIN = "constraints/compute.requireOsLogin"
NO_GUEST_ATTRIBUTES = "constraints/compute.disableGuestAttributesAccess"
# Default of each constraint without a policy, as in a new organization at Google.
BOOLEAN = {
    NO_DEFAULT_NETWORK: False,
    NO_DEFAULT_GRANTS: True,
    NO_KEYS: False,
    OS_LOGIN: False,
    NO_GUEST_ATTRIBUTES: False,
}

LOCATIONS = "constraints/gcp.resourceLocations"
EXTERNAL_IP = "constraints/compute.vmExternalIpAccess"
IMAGES = "constraints/compute.trustedImageProjects"
SERVICES = "constraints/gcp.restrictServiceUsage"
LISTS = frozenset({LOCATIONS, EXTERNAL_IP, IMAGES, SERVICES})
# Multi-regions of Cloud Storage by the group of locations that holds them.
_MULTI_REGIONS = {"eu": ("eu", "europe"), "us": ("us",), "asia": ("asia",)}


def policies(cloud: Cloud) -> Collection:
    """Return the policies of projects, by `PROJECT/CONSTRAINT`."""
    return cloud.store.collection("orgpolicy.policies")


def enforced(cloud: Cloud, project: str, constraint: str) -> bool:
    """Return whether a boolean constraint holds in a project."""
    policy = policies(cloud).get(f"{project}/{constraint}")
    if policy is None or "booleanPolicy" not in policy:
        return BOOLEAN[constraint]
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


# -- refusals of Compute Engine


def violated(constraint: str, project: str, why: str = "") -> ApiError:
    """Return a 412 with Compute Engine's message; `project` is an id or a number."""
    return ApiError(412, "conditionNotMet", f"Constraint {constraint} violated for project {project}. {why}".rstrip())


def check_external_ip(cloud: Cloud, project: str, instance: str) -> None:
    """Raise 412 unless an instance (its relative name) may have an external address."""
    if not allows(cloud, project, EXTERNAL_IP, instance):
        why = f"Add instance {instance} to the constraint to use external IP with it."
        raise violated(EXTERNAL_IP, cloud.projects.number_of(project), why)


def check_image(cloud: Cloud, project: str, image: str) -> None:
    """Raise 412 unless an image (its relative name) may be used for boot disks. A project's own images always may."""
    owner = image.split("/")[1]
    if owner != project and not allows(cloud, project, IMAGES, f"projects/{owner}"):
        raise violated(IMAGES, project, f"Use of images from project {owner} is prohibited.")


def check_zone(cloud: Cloud, project: str, zone: str, resource: str) -> None:
    """Raise 412 unless resources may be in a zone."""
    if not allows(cloud, project, LOCATIONS, zone):
        message = f"Location ZONE:{zone} violates constraint {LOCATIONS} on the resource {resource}."
        raise ApiError(412, "conditionNotMet", message)


def check_metadata(cloud: Cloud, project: str, metadata: dict[str, str]) -> None:
    """Raise 412 for metadata that disables OS Login where a policy requires it."""
    if metadata.get("enable-oslogin", "").lower() in ("false", "0", "n", "no") and enforced(cloud, project, OS_LOGIN):
        raise violated(OS_LOGIN, project, "OS Login cannot be disabled.")


# -- refusals before a method runs


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
