# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Reserved addresses: regional for instances, global, and ranges for private services access."""

from __future__ import annotations

import ipaddress

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, ranges, removal
from localcloud.services.compute.api import (
    aggregated,
    api,
    check_labels,
    checked_name,
    in_use,
    invalid,
    last,
    link,
    listed,
    new,
    new_labels,
    operation,
    part,
    place,
    ready,
    relative,
    resources,
    scope_of,
)
from localcloud.services.compute.documents import COMPUTE


def _name(call: Call) -> str:
    # setLabels calls it `resource`.
    return f"{place(call)}/addresses/{call.params.get('address') or call.params['resource']}"


def users(cloud: Cloud, address: Json) -> list[str]:
    """Return the links of resources that use an address."""
    if address["addressType"] == "EXTERNAL":
        return sorted(ranges.external_users(cloud).get(address["address"], []))
    found: list[str] = []
    for instance in cloud.store.collection("compute.instances").list():
        for nic in instance["networkInterfaces"]:
            if (nic["subnetwork"], nic["networkIP"]) == (address.get("subnetwork"), address["address"]):
                found.append(instance["selfLink"])
    return found


def shown(cloud: Cloud, address: Json) -> Json:
    """Return an address with its status: IN_USE or RESERVED."""
    using = users(cloud, address)
    return address | ({"status": "IN_USE", "users": using} if using else {"status": "RESERVED"})


def insert(call: Call) -> Json:
    """Reserve an address or a range. Labels are checked and dropped: only setLabels stores labels of an address."""
    body = call.body
    name = f"{place(call)}/addresses/{checked_name(body)}"
    check_labels(body.get("labels"))
    if body.get("ipVersion") == "IPV6":
        raise ApiError(501, None, "The local cloud has no IPv6.")

    def create() -> Json:
        document = new(call, "compute#address", name)
        document["description"] = body.get("description") or ""
        kind = body.get("addressType") or ("INTERNAL" if body.get("purpose") == "VPC_PEERING" else "EXTERNAL")
        document |= {"addressType": kind}
        if kind == "EXTERNAL":
            document |= _external(call, body)
        elif scope_of(call) == "global":
            document |= _peering_range(call, body)
        else:
            document |= _internal(call, body)
        return resources(call.cloud, "addresses").create(name, document)

    return operation(call, "insert", name, create)


def _external(call: Call, body: Json) -> Json:
    for field in ("prefixLength", "network", "subnetwork"):
        if body.get(field):
            raise invalid(f"resource.{field}", body[field], "It does not go with an external address.")
    address = body.get("address")
    if address:
        # Only an address that an instance in the region uses can be requested: it becomes static.
        region = call.params.get("region")
        using = [u for u in ranges.external_users(call.cloud).get(address, []) if _in_region(u, region)]
        reserved = any(a["address"] == address for a in call.cloud.store.collection("compute.addresses").list())
        if not using or reserved:
            raise invalid("resource.address", address, "Specified IP address is not available.")
    tier = {"networkTier": body.get("networkTier") or "PREMIUM"}
    return {"address": address or ranges.free_external(call.cloud)} | tier


def _in_region(instance: str, region: str | None) -> bool:
    return catalog.region_of(part(instance, "zones")) == region


def _internal(call: Call, body: Json) -> Json:
    if not body.get("subnetwork"):
        raise ApiError(400, "required", "Required field 'resource.subnetwork' not specified")
    name = relative(call.cloud, call.project or "", body["subnetwork"], "resource.subnetwork")
    subnetwork = resources(call.cloud, "subnetworks").get(name)
    address = body.get("address") or ranges.free_internal(call.cloud, subnetwork)
    ranges.check_internal(subnetwork, address, "resource.address")
    if body.get("address") and address in ranges.internal_taken(call.cloud, subnetwork["selfLink"]):
        raise invalid("resource.address", address, "Specified IP address is already reserved or in use.")
    # The network is omitted: it is the subnetwork's.
    return {
        "address": address,
        "subnetwork": subnetwork["selfLink"],
        "purpose": "GCE_ENDPOINT",
        "networkTier": "PREMIUM",
    }


def _peering_range(call: Call, body: Json) -> Json:
    if body.get("purpose") != "VPC_PEERING":
        raise invalid("resource.purpose", body.get("purpose"), "A global internal address must be for VPC_PEERING.")
    for field in ("network", "prefixLength"):
        if not body.get(field):
            raise ApiError(400, "required", f"Required field 'resource.{field}' not specified")
    network = relative(call.cloud, call.project or "", body["network"], "resource.network")
    resources(call.cloud, "networks").get(network)
    ready(call.cloud, network)
    length = body["prefixLength"]
    if not 8 <= length <= 30:
        raise invalid("resource.prefixLength", length, "Must be between 8 and 30.")
    if body.get("address"):
        wanted = ranges.parse(f"{body['address']}/{length}", "resource.address", longest=30)
        owner = ranges.conflict(wanted, ranges.taken_in_network(call.cloud, network))
        if owner:
            raise ApiError(400, "invalid", f"Requested range {wanted} conflicts with {owner}.")
    else:
        wanted = ranges.free_range(call.cloud, length)
    return {
        "address": str(ipaddress.IPv4Network(wanted).network_address),
        "prefixLength": length,
        "network": link(network),
        "networkTier": "PREMIUM",
        "purpose": "VPC_PEERING",
    }


def get(call: Call) -> Json:
    """Return one address."""
    return shown(call.cloud, resources(call.cloud, "addresses").get(_name(call)))


def list_addresses(call: Call) -> Json:
    """Return the addresses of a region, or the global addresses."""
    found = resources(call.cloud, "addresses").list(f"{place(call)}/addresses/")
    return listed(call, "compute#addressList", [shown(call.cloud, d) for d in found])


def delete(call: Call) -> Json:
    """Delete an unused address."""
    return removal.delete(call, "addresses", _name(call))


def set_labels(call: Call) -> Json:
    """Replace the labels; needs their fingerprint."""
    name, change = _name(call), new_labels(call, "addresses")
    return operation(call, "setLabels", name, lambda: resources(call.cloud, "addresses").update(name, change))


for _kind in ("addresses", "globalAddresses"):
    api.method(f"compute.{_kind}.insert", permission=f"compute.{_kind}.create")(insert)
    api.method(f"compute.{_kind}.get", permission=f"compute.{_kind}.get")(get)
    api.method(f"compute.{_kind}.list", permission=f"compute.{_kind}.list")(list_addresses)
    api.method(f"compute.{_kind}.delete", permission=f"compute.{_kind}.delete")(delete)
    api.method(f"compute.{_kind}.setLabels", permission=f"compute.{_kind}.setLabels")(set_labels)


@api.method("compute.addresses.aggregatedList", permission="compute.addresses.list")
def aggregate(call: Call) -> Json:
    """Return all addresses, including global addresses."""
    found = [shown(call.cloud, d) for d in resources(call.cloud, "addresses").list(f"projects/{call.project}/")]
    scopes = ["global", *(f"regions/{region}" for region in catalog.REGIONS)]
    return aggregated(call, "compute#addressAggregatedList", "addresses", found, scopes)


def _check(cloud: Cloud, address: Json) -> None:
    for user in users(cloud, address):
        raise in_use("address", address["selfLink"].removeprefix(f"{COMPUTE}/"), user.removeprefix(f"{COMPUTE}/"))


removal.checked_by("addresses", _check)


def static_name(cloud: Cloud, address: str) -> str | None:
    """Return the name of the reserved address with this value; None for an ephemeral address."""
    found = [a for a in cloud.store.collection("compute.addresses").list() if a["address"] == address]
    return last(found[0]["selfLink"]) if found else None
