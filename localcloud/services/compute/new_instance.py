# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Builds an instance's document from the body of `instances.insert`, and makes Google's refusals."""

from __future__ import annotations

import ipaddress

from localcloud.access.permissions import account_resource
from localcloud.core.errors import ApiError
from localcloud.framework.lifecycle import fingerprint
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, constraints, disks, netstate, ranges
from localcloud.services.compute.api import (
    NAME,
    check_labels,
    invalid,
    last,
    link,
    new,
    part,
    place,
    ready,
    relative,
    resources,
)
from localcloud.services.compute.documents import COMPUTE
from localcloud.services.compute.places import image_document
from localcloud.services.compute.projects import default_account, metadata_document


class LateError(Exception):
    """A refusal that Google makes only in the operation, not in the answer to the call."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def create(call: Call, name: str) -> Json:
    """Write the document of a new instance and of its boot disk."""
    body = call.body
    if call.params.get("sourceInstanceTemplate") or call.params.get("sourceMachineImage"):
        raise ApiError(501, None, "The local cloud has no instance templates and no machine images.")
    if resources(call.cloud, "instances").find(name):
        raise ApiError(409, "alreadyExists", f"The resource '{name}' already exists")
    check_labels(body.get("labels"))
    _check_policies(call, name)
    document = new(call, "compute#instance", name) | {
        "machineType": machine_type(call, body.get("machineType")),
        "status": "PROVISIONING",
        "tags": tags_document(body.get("tags") or {}),
        "metadata": metadata_document((body.get("metadata") or {}).get("items") or []),
        "canIpForward": bool(body.get("canIpForward")),
        "cpuPlatform": "Intel Broadwell",
        "startRestricted": False,
        "deletionProtection": bool(body.get("deletionProtection")),
        "scheduling": {
            "onHostMaintenance": "MIGRATE",
            "automaticRestart": True,
            "preemptible": False,
            "provisioningModel": "STANDARD",
        }
        | _given(body.get("scheduling")),
        "shieldedInstanceConfig": {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True}
        | _given(body.get("shieldedInstanceConfig")),
        "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True},
        "networkInterfaces": [_network_interface(call, body)],
        "lastStartTimestamp": call.cloud.clock.pacific(),
    }
    for field in (
        "description",
        "hostname",
        "labels",
        "displayDevice",
        "confidentialInstanceConfig",
        "reservationAffinity",
    ):
        if body.get(field):
            document[field] = body[field]
    accounts = service_accounts(call, body.get("serviceAccounts") or [])
    if accounts:
        document["serviceAccounts"] = accounts
    document["disks"] = [_boot_disk(call, name, body.get("disks") or [])]
    return resources(call.cloud, "instances").create(name, document)


def _check_policies(call: Call, name: str) -> None:
    """Raise 412 if an organization policy forbids the instance."""
    cloud, project = call.cloud, call.project or ""
    constraints.check_zone(cloud, project, call.params["zone"], name)
    items = (call.body.get("metadata") or {}).get("items") or []
    constraints.check_metadata(cloud, project, {str(item.get("key")): str(item.get("value")) for item in items})


def _given(fields: Json | None) -> Json:
    return {k: v for k, v in (fields or {}).items() if v is not None}


def machine_type(call: Call, reference: str | None) -> str:
    """Return the link of a machine type of the zone."""
    if not reference:
        raise ApiError(400, "required", "Required field 'resource.machineType' not specified")
    name = relative(call.cloud, call.project or "", reference, "resource.machineType")
    zone = call.params["zone"]
    if part(name, "zones") != zone or last(name) not in catalog.MACHINE_TYPES:
        why = f"Machine type with name '{last(name)}' does not exist in zone '{zone}'."
        raise invalid("resource.machineType", reference, why)
    return link(name)


def tags_document(tags: Json) -> Json:
    """Network tags with their fingerprint."""
    items = sorted(set(tags.get("items") or ()))
    for index, tag in enumerate(items):
        if not NAME.fullmatch(tag):
            raise invalid(f"resource.tags.items[{index}]", tag, f"Must be a match of regex '(?:{NAME.pattern})'")
    return {"fingerprint": fingerprint(items)} | ({"items": items} if items else {})


def service_accounts(call: Call, given: list[Json]) -> list[Json]:
    """Return the instance's service account. The caller must be allowed to act as it."""
    if len(given) > 1:
        raise invalid("resource.serviceAccounts", len(given), "An instance has at most one service account.")
    found: list[Json] = []
    for account in given:
        email = str(account.get("email") or "default")
        default = default_account(call.cloud, call.project or "")
        email = default if email == "default" else email
        known = call.cloud.accounts.get(email)
        project = str(known["projectId"]) if known else call.project or ""
        permissions = call.cloud.permissions
        if not permissions.allowed(call.caller, "iam.serviceAccounts.actAs", project, account_resource(project, email)):
            message = (
                f"The user does not have access to service account '{email}'.  User: '{call.caller.email}'.  "
                "Ask a project owner to grant you the iam.serviceAccountUser role on the service account"
            )
            raise ApiError(400, "SERVICE_ACCOUNT_ACCESS_DENIED", message)
        if not call.cloud.accounts.visible(email):
            raise LateError(
                "EXTERNAL_RESOURCE_NOT_FOUND", f"The resource '{email}' of type 'serviceAccount' was not found."
            )
        found.append({"email": email, "scopes": list(account.get("scopes") or [])})
    return found


# -- network


def _network_interface(call: Call, body: Json) -> Json:
    given = body.get("networkInterfaces") or [{}]
    if len(given) > 1:
        raise ApiError(501, None, "In the local cloud an instance has one network interface.")
    field = "resource.networkInterfaces[0]"
    subnetwork = _subnetwork(call, given[0], field)
    network = subnetwork["network"]
    call.require("compute.subnetworks.use", project=part(subnetwork["selfLink"], "projects"))
    _refuse_overlap(call, subnetwork)
    address = _internal_address(call, subnetwork, given[0].get("networkIP"), field)
    interface: Json = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": network,
        "subnetwork": subnetwork["selfLink"],
        "networkIP": address,
        "stackType": "IPV4_ONLY",
        "fingerprint": fingerprint([network, address]),
    }
    if given[0].get("nicType"):
        interface["nicType"] = given[0]["nicType"]
    configs = given[0].get("accessConfigs") or []
    if len(configs) > 1:
        raise invalid(f"{field}.accessConfigs", len(configs), "At most one access config currently supported.")
    if configs:
        constraints.check_external_ip(call.cloud, call.project or "", f"{place(call)}/instances/{body['name']}")
        region = part(subnetwork["selfLink"], "regions")
        interface["accessConfigs"] = [access_config(call, configs[0], region, f"{field}.accessConfigs[0]")]
    return interface


def _subnetwork(call: Call, given: Json, field: str) -> Json:
    project, region = call.project or "", catalog.region_of(call.params["zone"])
    if not given.get("subnetwork"):
        network = relative(call.cloud, project, given.get("network") or "global/networks/default", f"{field}.network")
        found = resources(call.cloud, "networks").find(network)
        if found is None:
            raise invalid(
                f"{field}.network", given.get("network") or network, "The referenced network resource cannot be found."
            )
        ready(call.cloud, network)
        if not found["autoCreateSubnetworks"]:
            why = "Subnetwork should be specified for custom subnetmode network"
            raise invalid(f"{field}.subnetwork", "", why)
        name = f"{network.split('/global/')[0]}/regions/{region}/subnetworks/{last(network)}"
    else:
        name = relative(call.cloud, project, given["subnetwork"], f"{field}.subnetwork")
    subnetwork = resources(call.cloud, "subnetworks").find(name)
    if subnetwork is None:
        why = "The referenced subnetwork resource cannot be found."
        raise invalid(f"{field}.subnetwork", given.get("subnetwork") or name, why)
    if part(name, "regions") != region:
        raise invalid(f"{field}.subnetwork", given.get("subnetwork"), f"The subnetwork is not in region '{region}'.")
    if given.get("network"):
        network = link(relative(call.cloud, project, given["network"], f"{field}.network"))
        if network != subnetwork["network"]:
            why = "The subnetwork does not belong to the specified network."
            raise invalid(f"{field}.network", given["network"], why)
    ready(call.cloud, name)
    return subnetwork


def _refuse_overlap(call: Call, subnetwork: Json) -> None:
    """Refuse overlapping ranges: VMs of two networks share this host. Google allows them."""
    own = ipaddress.IPv4Network(subnetwork["ipCidrRange"])
    for subnet in netstate.wanted(call.cloud).subnetworks:
        other = subnet.network != netstate.engine_network(subnetwork["network"])
        if other and own.overlaps(ipaddress.IPv4Network(subnet.cidr)):
            message = (
                f"The local cloud has machines of network {subnet.network} in {subnet.cidr}, which overlaps {own}."
            )
            raise ApiError(501, None, message)


def _internal_address(call: Call, subnetwork: Json, wanted: str | None, field: str) -> str:
    if not wanted:
        return ranges.free_internal(call.cloud, subnetwork)
    if "/" in wanted:
        name = relative(call.cloud, call.project or "", wanted, f"{field}.networkIP")
        wanted = str(resources(call.cloud, "addresses").get(name)["address"])
    ranges.check_internal(subnetwork, wanted, f"{field}.networkIP")
    owner = ranges.internal_taken(call.cloud, subnetwork["selfLink"]).get(wanted, "")
    used = any(
        nic["networkIP"] == wanted and nic["subnetwork"] == subnetwork["selfLink"]
        for instance in call.cloud.store.collection("compute.instances").list()
        for nic in instance["networkInterfaces"]
    )
    if used or (owner and part(owner, "projects") != call.project):
        raise LateError("IP_IN_USE_BY_ANOTHER_RESOURCE", f"IP '{wanted}' is already being used by another resource.")
    return wanted


def access_config(call: Call, given: Json, region: str, field: str) -> Json:
    """Return a one-to-one address translation to a static or an ephemeral external address."""
    call.require("compute.subnetworks.useExternalIp")
    return {
        "kind": "compute#accessConfig",
        "type": "ONE_TO_ONE_NAT",
        "name": given.get("name") or "External NAT",
        "natIP": external_address(call, given, region, field),
        "networkTier": given.get("networkTier") or "PREMIUM",
    }


def external_address(call: Call, given: Json, region: str, field: str) -> str:
    """Return the requested reserved address, or an ephemeral address."""
    wanted = given.get("natIP")
    if not wanted:
        return ranges.free_external(call.cloud)
    prefix = f"projects/{call.project}/regions/{region}/addresses/"
    if not any(a["address"] == wanted for a in call.cloud.store.collection("compute.addresses").list(prefix)):
        why = f"The specified external IP address '{wanted}' was not found in region '{region}'."
        raise invalid(f"{field}.natIP", wanted, why)
    if wanted in ranges.external_users(call.cloud):
        raise LateError("IP_IN_USE_BY_ANOTHER_RESOURCE", f"External IP address: '{wanted}' is already in-use.")
    return str(wanted)


# -- disk


def _boot_disk(call: Call, name: str, given: list[Json]) -> Json:
    if not given:
        raise invalid("resource.disks", "", "At least one disk, the boot disk, must be specified.")
    disk = given[0]
    if len(given) > 1 or disk.get("source") or disk.get("type") == "SCRATCH":
        raise ApiError(501, None, "In the local cloud an instance has one disk, made from an image together with it.")
    parameters = disk.get("initializeParams") or {}
    if not disk.get("boot") or not parameters.get("sourceImage"):
        why = "The boot disk must be specified with initializeParams.sourceImage."
        raise invalid("resource.disks[0]", "", why)
    image = disks.image_of(call, parameters["sourceImage"], "resource.disks[0].initializeParams.sourceImage")
    image_name = image_document(image)["selfLink"].removeprefix(f"{COMPUTE}/")
    constraints.check_image(call.cloud, call.project or "", image_name)
    disk_name = f"{place(call)}/disks/{parameters.get('diskName') or last(name)}"
    sized = parameters | ({"diskSizeGb": disk["diskSizeGb"]} if disk.get("diskSizeGb") else {})
    made = disks.create(call, disk_name, sized, image, link(name))
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "source": made["selfLink"],
        "deviceName": disk.get("deviceName") or "persistent-disk-0",
        "index": 0,
        "boot": True,
        "autoDelete": bool(disk.get("autoDelete")),
        "interface": disk.get("interface") or "SCSI",
        "diskSizeGb": made["sizeGb"],
        "licenses": made["licenses"],
        "guestOsFeatures": made["guestOsFeatures"],
        "architecture": "X86_64",
    }
