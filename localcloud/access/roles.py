# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's predefined roles, as patterns over permissions.

A pattern that starts with `!` removes permissions. The lists are Google's where a method of the local cloud checks the
permission. Other roles cannot be granted.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

# Basic roles do not include impersonation of a service account.
_IMPERSONATE = " ".join(
    f"iam.serviceAccounts.{verb}"
    for verb in ("getAccessToken", "getOpenIdToken", "signBlob", "signJwt", "implicitDelegation")
)
_NO_IMPERSONATION = " ".join(f"!{permission}" for permission in _IMPERSONATE.split())
# Basic roles reach objects only by the buckets' own policies (projectOwner:, projectEditor:).
_NOT_IN_BASIC_ROLES = f"{_NO_IMPERSONATION} !storage.objects.*"
_ROLES = {
    "roles/owner": f"* {_NOT_IN_BASIC_ROLES}",
    "roles/editor": (
        "* !*.setIamPolicy !secretmanager.versions.access !resourcemanager.projects.delete "
        "!servicenetworking.services.addPeering !iam.roles.create !iam.roles.update !iam.roles.delete "
        f"!iam.roles.undelete !orgpolicy.policy.set {_NOT_IN_BASIC_ROLES}"
    ),
    "roles/viewer": "*.get *.list *.getIamPolicy *.aggregatedList !storage.objects.*",
    "roles/browser": "resourcemanager.projects.get resourcemanager.projects.list resourcemanager.projects.getIamPolicy",
    "roles/certificatemanager.editor": (
        "certificatemanager.* !certificatemanager.*.delete resourcemanager.projects.get"
    ),
    "roles/certificatemanager.owner": "certificatemanager.* resourcemanager.projects.get",
    "roles/certificatemanager.viewer": (
        "certificatemanager.*.get certificatemanager.*.list resourcemanager.projects.get"
    ),
    "roles/cloudsql.admin": "cloudsql.* resourcemanager.projects.get",
    "roles/cloudsql.client": "cloudsql.instances.connect cloudsql.instances.get",
    "roles/cloudsql.editor": "cloudsql.* !cloudsql.instances.create !cloudsql.instances.delete !cloudsql.users.*",
    "roles/cloudsql.instanceUser": "cloudsql.instances.get cloudsql.instances.login",
    "roles/cloudsql.viewer": "cloudsql.*.get cloudsql.*.list",
    "roles/compute.admin": "compute.* resourcemanager.projects.get",
    "roles/compute.instanceAdmin": (
        "compute.instances.* compute.disks.* compute.*.get compute.*.list compute.subnetworks.use "
        "compute.subnetworks.useExternalIp"
    ),
    "roles/compute.instanceAdmin.v1": (
        "compute.instances.* compute.disks.* compute.images.* compute.snapshots.* compute.*.get compute.*.list "
        "compute.projects.setCommonInstanceMetadata compute.subnetworks.use compute.subnetworks.useExternalIp "
        "compute.addresses.use compute.networks.use"
    ),
    "roles/compute.networkAdmin": (
        "compute.networks.* compute.subnetworks.* compute.addresses.* compute.globalAddresses.* compute.routes.* "
        "compute.*.get compute.*.list compute.globalOperations.* compute.regionOperations.* servicenetworking.* "
        "compute.firewalls.get compute.firewalls.list"
    ),
    "roles/compute.networkUser": (
        "compute.networks.use compute.subnetworks.use compute.subnetworks.useExternalIp compute.addresses.use "
        "compute.*.get compute.*.list"
    ),
    "roles/compute.osLogin": "compute.instances.get compute.instances.list compute.instances.osLogin",
    "roles/compute.securityAdmin": (
        "compute.firewalls.* compute.networks.updatePolicy compute.networks.get compute.*.get compute.*.list"
    ),
    "roles/compute.viewer": "compute.*.get compute.*.list compute.*.getEffectiveFirewalls",
    "roles/dns.admin": (
        "compute.networks.get compute.networks.list dns.* resourcemanager.projects.get resourcemanager.projects.list"
    ),
    "roles/dns.reader": (
        "compute.networks.get dns.*.get dns.*.list resourcemanager.projects.get resourcemanager.projects.list"
    ),
    "roles/iam.roleAdmin": "iam.roles.* resourcemanager.projects.get resourcemanager.projects.getIamPolicy",
    "roles/iam.roleViewer": "iam.roles.get iam.roles.list",
    "roles/iam.securityAdmin": "*.getIamPolicy *.setIamPolicy",
    "roles/iam.serviceAccountAdmin": (
        f"iam.serviceAccounts.* !iam.serviceAccounts.actAs resourcemanager.projects.get {_NO_IMPERSONATION}"
    ),
    "roles/iam.serviceAccountKeyAdmin": "iam.serviceAccountKeys.* iam.serviceAccounts.get iam.serviceAccounts.list",
    "roles/iam.serviceAccountTokenCreator": _IMPERSONATE,
    "roles/iam.serviceAccountUser": "iam.serviceAccounts.actAs iam.serviceAccounts.get iam.serviceAccounts.list",
    "roles/iam.serviceAccountOpenIdTokenCreator": "iam.serviceAccounts.getOpenIdToken",
    "roles/iap.tunnelResourceAccessor": "iap.tunnelInstances.accessViaIAP",
    "roles/logging.logWriter": "logging.logEntries.create",
    "roles/monitoring.metricWriter": "monitoring.timeSeries.create monitoring.metricDescriptors.create",
    "roles/orgpolicy.policyAdmin": "orgpolicy.*",
    "roles/resourcemanager.projectIamAdmin": (
        "resourcemanager.projects.get resourcemanager.projects.getIamPolicy resourcemanager.projects.setIamPolicy"
    ),
    "roles/secretmanager.admin": "secretmanager.* resourcemanager.projects.get",
    "roles/secretmanager.secretAccessor": "secretmanager.versions.access resourcemanager.projects.get",
    "roles/secretmanager.secretVersionAdder": "secretmanager.versions.add",
    "roles/secretmanager.secretVersionManager": "secretmanager.versions.* !secretmanager.versions.access",
    "roles/secretmanager.viewer": "secretmanager.*.get secretmanager.*.list secretmanager.secrets.getIamPolicy",
    "roles/servicenetworking.networksAdmin": "servicenetworking.*",
    "roles/serviceusage.serviceUsageAdmin": "serviceusage.*",
    "roles/serviceusage.serviceUsageConsumer": (
        "serviceusage.services.use serviceusage.services.get serviceusage.services.list"
    ),
    "roles/serviceusage.serviceUsageViewer": "serviceusage.services.get serviceusage.services.list",
    "roles/storage.admin": "storage.*",
    "roles/storage.bucketViewer": "storage.buckets.get storage.buckets.list",
    "roles/storage.legacyBucketOwner": (
        "storage.buckets.get storage.buckets.getIamPolicy storage.buckets.setIamPolicy storage.buckets.update "
        "storage.objects.create storage.objects.delete storage.objects.list storage.objects.restore "
        "storage.multipartUploads.*"
    ),
    "roles/storage.legacyBucketReader": "storage.buckets.get storage.objects.list storage.multipartUploads.list",
    "roles/storage.legacyBucketWriter": (
        "storage.buckets.get storage.objects.create storage.objects.delete storage.objects.list "
        "storage.objects.restore storage.multipartUploads.*"
    ),
    "roles/storage.legacyObjectOwner": (
        "storage.objects.get storage.objects.getIamPolicy storage.objects.setIamPolicy storage.objects.update"
    ),
    "roles/storage.legacyObjectReader": "storage.objects.get",
    "roles/storage.objectAdmin": (
        "storage.objects.* storage.folders.* storage.multipartUploads.* storage.managedFolders.*"
    ),
    "roles/storage.objectCreator": (
        "storage.objects.create storage.multipartUploads.create storage.multipartUploads.abort "
        "storage.multipartUploads.listParts"
    ),
    "roles/storage.objectUser": (
        "storage.objects.* !storage.objects.getIamPolicy !storage.objects.setIamPolicy storage.folders.* "
        "storage.multipartUploads.* storage.managedFolders.*"
    ),
    "roles/storage.objectViewer": "storage.objects.get storage.objects.list",
}
ROLES: dict[str, tuple[str, ...]] = {role: tuple(patterns.split()) for role, patterns in _ROLES.items()}


def holds(role: str, permission: str) -> bool:
    """Return whether a role contains a permission."""
    patterns = ROLES.get(role, ())
    if any(fnmatchcase(permission, p[1:]) for p in patterns if p.startswith("!")):
        return False
    return any(fnmatchcase(permission, p) for p in patterns if not p.startswith("!"))
