# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Subnetworks."""

from __future__ import annotations

import ipaddress

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, netstate, ranges, removal
from localcloud.services.compute.api import (
    aggregated,
    api,
    checked_name,
    in_use,
    invalid,
    link,
    listed,
    new_document,
    operation,
    place,
    ready,
    relative,
    resources,
)

# Auto mode networks reserve this range.
AUTO_MODE_RANGE = "10.128.0.0/9"
_OPTIONS = ("description", "logConfig", "enableFlowLogs", "secondaryIpRanges")
_PATCHABLE = (*_OPTIONS, "privateIpGoogleAccess", "ipCidrRange")


def _name(call: Call) -> str:
    return f"{place(call)}/subnetworks/{call.params['subnetwork']}"


def create(cloud: Cloud, name: str, network: str, cidr: str, options: Json | None = None) -> Json:
    """Write a new subnetwork. Its range must be free."""
    taken = ranges.taken_in_network(cloud, network)
    check_free(cidr, taken, "resource.ipCidrRange")
    document = new_document(cloud, "compute#subnetwork", name) | {
        "network": link(network),
        "ipCidrRange": cidr,
        "gatewayAddress": str(ipaddress.IPv4Network(cidr)[1]),
        "privateIpGoogleAccess": False,
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "allowSubnetCidrRoutesOverlap": False,
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
    }
    return resources(cloud, "subnetworks").create(name, _with_flow_logs(document | (options or {})))


def _with_flow_logs(subnetwork: Json) -> Json:
    """If the subnetwork has a log configuration, copy its flow log switch to the old field."""
    if "logConfig" not in subnetwork:
        return subnetwork
    return subnetwork | {"enableFlowLogs": bool(subnetwork["logConfig"].get("enable"))}


def check_free(cidr: str, taken: list[tuple[ranges.Range, str]], field: str) -> None:
    """Raise 400 for an invalid range or a range that overlaps another range."""
    owner = ranges.conflict(ranges.parse(cidr, field), taken)
    if owner:
        raise ApiError(400, "invalid", f"Invalid IPCidrRange: {cidr} conflicts with {owner}.")


@api.method("compute.subnetworks.insert", permission="compute.subnetworks.create")
def insert(call: Call) -> Json:
    """Create a subnetwork in a custom mode network."""
    body = call.body
    name = f"{place(call)}/subnetworks/{checked_name(body)}"
    for field in ("network", "ipCidrRange"):
        if not body.get(field):
            raise ApiError(400, "required", f"Required field 'resource.{field}' not specified")
    if body.get("purpose") not in (None, "PRIVATE") or body.get("stackType") not in (None, "IPV4_ONLY"):
        raise ApiError(501, None, "The local cloud has IPv4 subnetworks for machines only.")
    network = relative(call.cloud, call.project or "", body["network"], "resource.network")

    def write() -> Json:
        found = resources(call.cloud, "networks").get(network)
        ready(call.cloud, network)
        options = {k: v for k, v in body.items() if k in (*_OPTIONS, "privateIpGoogleAccess") and v is not None}
        if found["autoCreateSubnetworks"] and ipaddress.IPv4Network(AUTO_MODE_RANGE).overlaps(
            ranges.parse(body["ipCidrRange"], "resource.ipCidrRange")
        ):
            why = f"Range overlaps {AUTO_MODE_RANGE}, which auto mode networks keep for themselves."
            raise invalid("resource.ipCidrRange", body["ipCidrRange"], why)
        return create(call.cloud, name, network, body["ipCidrRange"], options)

    return operation(call, "insert", name, write)


@api.method("compute.subnetworks.get", permission="compute.subnetworks.get")
def get(call: Call) -> Json:
    """Return one subnetwork."""
    return resources(call.cloud, "subnetworks").get(_name(call))


@api.method("compute.subnetworks.list", permission="compute.subnetworks.list")
def list_subnetworks(call: Call) -> Json:
    """Return the subnetworks of a region."""
    return listed(call, "compute#subnetworkList", resources(call.cloud, "subnetworks").list(f"{place(call)}/"))


@api.method("compute.subnetworks.aggregatedList", permission="compute.subnetworks.list")
def aggregate(call: Call) -> Json:
    """Return the subnetworks of all regions."""
    found = resources(call.cloud, "subnetworks").list(f"{place(call).removesuffix('/global')}/")
    scopes = [f"regions/{region}" for region in catalog.REGIONS]
    return aggregated(call, "compute#subnetworkAggregatedList", "subnetworks", found, scopes)


@api.method("compute.subnetworks.patch", permission="compute.subnetworks.update")
def patch(call: Call) -> Json:
    """Change the options of a subnetwork; needs its fingerprint."""
    name = _name(call)

    def update() -> Json:
        ready(call.cloud, name)
        stored = resources(call.cloud, "subnetworks").get(name)
        resources(call.cloud, "subnetworks").check_fingerprints(stored, call.body, "fingerprint")
        for field, value in call.body.items():
            if field not in (*_PATCHABLE, "fingerprint") and value != stored.get(field):
                raise invalid(f"resource.{field}", value, "This field cannot be changed.")
        if call.body.get("ipCidrRange") not in (None, stored["ipCidrRange"]):
            raise invalid("resource.ipCidrRange", call.body["ipCidrRange"], "Use expandIpCidrRange.")
        change = {k: v for k, v in call.body.items() if k in _PATCHABLE}
        return resources(call.cloud, "subnetworks").update(name, lambda d: _with_flow_logs(merge(d, change)))

    return operation(call, "patch", name, update)


@api.method("compute.subnetworks.setPrivateIpGoogleAccess", permission="compute.subnetworks.setPrivateIpGoogleAccess")
def set_private_access(call: Call) -> Json:
    """Allow or forbid access to Google's APIs for VMs without an external address."""
    name, value = _name(call), bool(call.body.get("privateIpGoogleAccess"))

    def update() -> Json:
        ready(call.cloud, name)
        return resources(call.cloud, "subnetworks").update(name, lambda d: d | {"privateIpGoogleAccess": value})

    return operation(call, "setPrivateIpGoogleAccess", name, update)


@api.method("compute.subnetworks.expandIpCidrRange", permission="compute.subnetworks.expandIpCidrRange")
def expand(call: Call) -> Json:
    """Grow the range. A range cannot shrink."""
    name, cidr = _name(call), call.body.get("ipCidrRange") or ""

    def update() -> Json:
        ready(call.cloud, name)
        stored = resources(call.cloud, "subnetworks").get(name)
        old, wider = ipaddress.IPv4Network(stored["ipCidrRange"]), ranges.parse(cidr, "ipCidrRange")
        if not old.subnet_of(wider) or old == wider:
            raise invalid("ipCidrRange", cidr, f"The new range must contain the old one, {old}.")
        network = relative(call.cloud, call.project or "", stored["network"], "network")
        taken = [entry for entry in ranges.taken_in_network(call.cloud, network) if entry[0] != old]
        check_free(cidr, taken, "ipCidrRange")
        if netstate.instances_in(call.cloud, subnetwork=name):
            raise ApiError(501, None, "The local cloud cannot expand a subnetwork that has machines.")
        gateway = str(wider[1])
        return resources(call.cloud, "subnetworks").update(
            name, lambda d: d | {"ipCidrRange": cidr, "gatewayAddress": gateway}
        )

    return operation(call, "expandIpCidrRange", name, update)


@api.method("compute.subnetworks.delete", permission="compute.subnetworks.delete")
def delete(call: Call) -> Json:
    """Delete a subnetwork without VMs and addresses."""
    return removal.delete(call, "subnetworks", _name(call))


def _check(cloud: Cloud, subnetwork: Json) -> None:
    name = subnetwork["selfLink"].split("/v1/", 1)[1]
    for user in sorted(ranges.internal_taken(cloud, subnetwork["selfLink"]).values()):
        raise in_use("subnetwork", name, user.split("/v1/", 1)[1])
    network = cloud.store.collection("compute.networks").get(subnetwork["network"].split("/v1/", 1)[1])
    if network and network["autoCreateSubnetworks"] and subnetwork["name"] == network["name"]:
        raise ApiError(400, "badRequest", f"Cannot delete auto subnetwork from an auto subnet mode network: '{name}'.")


removal.checked_by("subnetworks", _check)
