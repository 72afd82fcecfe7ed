# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The IAM permissions that a custom role may contain.

Google publishes no machine-readable list. For the services of the local cloud the names come from the handlers, from
the predefined roles and from the methods of the contract. For other Google services only the form is checked.
"""

from __future__ import annotations

import functools
import re

from localcloud import services
from localcloud.access.roles import ROLES
from localcloud.core import contract

_FORM = re.compile(r"[a-z][a-zA-Z0-9]*\.[a-zA-Z][a-zA-Z0-9]*\.[a-zA-Z][a-zA-Z0-9]*")
# Services whose permission prefix differs from the API's name.
_HOSTS = {"cloudsql": "sqladmin", "resourcemanager": "cloudresourcemanager"}
_OTHER_PREFIXES = frozenset({"datacatalog", "errorreporting", "opsconfigmonitoring", "stackdriver"})
# Methods whose permission has another verb than the method.
_VERBS = {"insert": "create", "patch": "update", "aggregatedList": "list"}
# Permissions that no handler checks by their own name.
_MORE = """
    cloudsql.instances.connect cloudsql.instances.login
    compute.addresses.use compute.addresses.useInternal compute.disks.use compute.disks.useReadOnly
    compute.globalAddresses.create compute.globalAddresses.delete compute.globalAddresses.get
    compute.globalAddresses.list compute.globalAddresses.use compute.images.useReadOnly compute.instances.osAdminLogin
    compute.instances.osLogin compute.instances.use compute.networks.use compute.networks.useExternalIp
    compute.networks.access compute.networks.updatePolicy compute.subnetworks.use compute.subnetworks.useExternalIp
    iam.serviceAccountKeys.disable iam.serviceAccountKeys.enable iam.serviceAccountKeys.get
    iam.serviceAccounts.actAs iam.serviceAccounts.undelete logging.logEntries.list
    resourcemanager.projects.create resourcemanager.projects.createBillingAssignment resourcemanager.projects.delete
    resourcemanager.projects.deleteBillingAssignment resourcemanager.projects.list resourcemanager.projects.move
    resourcemanager.projects.undelete resourcemanager.projects.update
    resourcemanager.projects.updateLiens servicenetworking.operations.get
    servicenetworking.services.use serviceusage.services.use
    storage.buckets.create storage.buckets.delete storage.buckets.get storage.buckets.getIamPolicy storage.buckets.list
    storage.buckets.setIamPolicy storage.buckets.update storage.folders.create storage.folders.delete
    storage.folders.get storage.folders.list storage.folders.rename storage.hmacKeys.create storage.hmacKeys.delete
    storage.hmacKeys.get storage.hmacKeys.list storage.hmacKeys.update storage.managedFolders.create
    storage.managedFolders.delete storage.managedFolders.get storage.managedFolders.getIamPolicy
    storage.managedFolders.list storage.managedFolders.setIamPolicy storage.multipartUploads.abort
    storage.multipartUploads.create storage.multipartUploads.list storage.multipartUploads.listParts
    storage.objects.create storage.objects.delete storage.objects.get storage.objects.getIamPolicy storage.objects.list
    storage.objects.move storage.objects.overrideUnlockedRetention storage.objects.restore
    storage.objects.setIamPolicy storage.objects.setRetention storage.objects.update
"""
# A project's custom role cannot contain these: they belong to folders and organizations.
NOT_SUPPORTED = frozenset(
    {"resourcemanager.projects.create", "resourcemanager.projects.list", "resourcemanager.projects.move"}
)


@functools.cache
def known() -> frozenset[str]:
    """Return the permissions of the services that the local cloud has."""
    loaded = services.load()
    found = {bound.permission for service in loaded for bound in service.bound.values() if bound.permission}
    found |= {p for patterns in ROLES.values() for p in patterns if "*" not in p and not p.startswith("!")}
    found |= set(_MORE.split())
    for prefix, name, version in (("compute", "compute", "v1"), ("cloudsql", "sqladmin", "v1")):
        for method in contract.load(name, version).methods:
            *_, resource, verb = method.split(".")
            found.add(f"{prefix}.{resource}.{_VERBS.get(verb, verb)}")
    return frozenset(found)


def supported(permission: str) -> bool:
    """Return whether a project's custom role may contain a permission."""
    if permission in known():
        return permission not in NOT_SUPPORTED
    if not _FORM.fullmatch(permission):
        return False
    prefix, resource, _ = permission.split(".")
    if prefix in _emulated():
        # Kinds of resources in the contract that the local cloud does not have, such as resourcemanager.tagKeys.
        return resource in _emulated()[prefix] and not any(p.startswith(f"{prefix}.{resource}.") for p in known())
    return prefix in contract.names() | _OTHER_PREFIXES


def host(permission: str) -> str:
    """Return the host name of the API that a permission belongs to."""
    prefix = permission.partition(".")[0]
    return f"{_HOSTS.get(prefix, prefix)}.googleapis.com"


@functools.cache
def _emulated() -> dict[str, frozenset[str]]:
    """Return the kinds of resources in the contract of each service that the local cloud has, by permission prefix."""
    prefixes = {api: prefix for prefix, api in _HOSTS.items()}
    found: dict[str, frozenset[str]] = {}
    for service in services.load():
        kinds = {method.split(".")[-2] for each in service.contracts() for method in each.methods}
        prefix = prefixes.get(service.name, service.name)
        found[prefix] = found.get(prefix, frozenset()) | kinds
    return found
