# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The constraints of organization policies on Compute Engine.

Messages are Google's, quoted by users in issues. The messages for requireOsLogin and disableGuestAttributesAccess are
unproven; only their effect is documented.
"""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.constraints import LOCATIONS, allows, enforced

NO_DEFAULT_NETWORK = "constraints/compute.skipDefaultNetworkCreation"
NO_DEFAULT_GRANTS = "constraints/iam.automaticIamGrantsForDefaultServiceAccounts"
OS_LOGIN = "constraints/compute.requireOsLogin"
NO_GUEST_ATTRIBUTES = "constraints/compute.disableGuestAttributesAccess"
EXTERNAL_IP = "constraints/compute.vmExternalIpAccess"
IMAGES = "constraints/compute.trustedImageProjects"
# The defaults of the boolean constraints are those of a new organization at Google.
ALL: dict[str, bool | None] = {
    NO_DEFAULT_NETWORK: False,
    NO_DEFAULT_GRANTS: True,
    OS_LOGIN: False,
    NO_GUEST_ATTRIBUTES: False,
    EXTERNAL_IP: None,
    IMAGES: None,
}


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
