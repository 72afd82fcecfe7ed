# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IP ranges and addresses: used and free."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterable

from localcloud.core.errors import ApiError
from localcloud.engine import routes
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Json
from localcloud.services.compute.api import invalid, last, link
from localcloud.services.compute.netstate import peered_ranges

Range = ipaddress.IPv4Network

# Part of the engine's external range. The host has its first address; outsiders in tests have some of the last.
_EXTERNAL = tuple(f"198.51.100.{number}" for number in range(10, 190))
# Google, too, takes automatic ranges for private services from here; auto mode networks are in the middle.
_AUTOMATIC = tuple(ipaddress.IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_OURS = "mlc"


def parse(cidr: str, field: str, *, shortest: int = 8, longest: int = 29) -> Range:
    """Parse a range. Raises 400 for an invalid range."""
    try:
        found = ipaddress.IPv4Network(cidr)
    except ValueError:
        raise invalid(field, cidr, "Must be a CIDR address range.") from None
    if not shortest <= found.prefixlen <= longest:
        raise invalid(field, cidr, f"The prefix length must be between {shortest} and {longest}.")
    if found.is_loopback or found.is_link_local or found.is_multicast or str(found.network_address).startswith("0."):
        raise invalid(field, cidr, "Range must be valid for a subnetwork.")
    return found


def taken_in_network(cloud: Cloud, network: str) -> list[tuple[Range, str]]:
    """Return (range, owner's description) of one network: subnetworks, allocated ranges, peered ranges."""
    url = link(network)
    found: list[tuple[Range, str]] = []
    for subnetwork in cloud.store.collection("compute.subnetworks").list():
        if subnetwork["network"] == url:
            owner = f"existing subnetwork '{subnetwork['name']}' in region '{last(subnetwork['region'])}'"
            cidrs = [subnetwork["ipCidrRange"], *(r["ipCidrRange"] for r in subnetwork.get("secondaryIpRanges", ()))]
            found += [(ipaddress.IPv4Network(cidr), owner) for cidr in cidrs]
    for address in cloud.store.collection("compute.addresses").list():
        if address.get("purpose") == "VPC_PEERING" and address["network"] == url:
            found.append((_allocated(address), f"allocated range '{address['name']}'"))
    for name, cidr in peered_ranges(cloud).get(network, {}).items():
        found.append((ipaddress.IPv4Network(cidr), f"peered range '{name}'"))
    return found


def conflict(wanted: Range, taken: Iterable[tuple[Range, str]]) -> str | None:
    """Return the owner of the range that overlaps the new range; None if it is free."""
    return next((owner for cidr, owner in taken if cidr.overlaps(wanted)), None)


def _allocated(address: Json) -> Range:
    return ipaddress.IPv4Network(f"{address['address']}/{address['prefixLength']}")


def free_range(cloud: Cloud, prefix_length: int) -> Range:
    """Return a private range that neither a network of any project nor this host's routes and name servers use."""
    taken = [ipaddress.IPv4Network(s["ipCidrRange"]) for s in cloud.store.collection("compute.subnetworks").list()]
    addresses = cloud.store.collection("compute.addresses").list()
    taken += [_allocated(a) for a in addresses if a.get("purpose") == "VPC_PEERING"]
    taken += [ipaddress.IPv4Network(c) for r in peered_ranges(cloud).values() for c in r.values()]
    taken += _host_ranges()
    # Reserved for later auto mode networks, whose subnetworks are here.
    taken.append(ipaddress.IPv4Network("10.128.0.0/9"))
    for block in _AUTOMATIC:
        if block.prefixlen > prefix_length:
            continue
        step, start = 2 ** (32 - prefix_length), int(block.network_address)
        while start < int(block.broadcast_address):
            candidate = ipaddress.IPv4Network((start, prefix_length))
            hit = next((cidr for cidr in taken if cidr.overlaps(candidate)), None)
            if hit is None:
                return candidate
            after = max(int(hit.broadcast_address), int(candidate.broadcast_address)) + 1
            start = -(-after // step) * step
    raise ApiError(400, "RANGE_SPACE_EXHAUSTED", f"There is no free range of prefix length {prefix_length}.")


def _host_ranges() -> list[Range]:
    try:
        found = [destination for destination, device in routes.host_routes() if not device.startswith(_OURS)]
    except (OSError, subprocess.CalledProcessError):
        found = []  # without iproute2 there is no engine that could collide
    cidrs = [ipaddress.IPv4Network(cidr, strict=False) for cidr in [*found, *routes.host_resolvers()]]
    return [cidr for cidr in cidrs if cidr.prefixlen > 0]


# -- single addresses


def internal_taken(cloud: Cloud, subnetwork: str) -> dict[str, str]:
    """Return internal addresses in a subnetwork (its link), with the links of the resources that use them."""
    found: dict[str, str] = {}
    for address in cloud.store.collection("compute.addresses").list():
        if address.get("subnetwork") == subnetwork:
            found[address["address"]] = address["selfLink"]
    for instance in cloud.store.collection("compute.instances").list():
        for nic in instance["networkInterfaces"]:
            if nic["subnetwork"] == subnetwork:
                found[nic["networkIP"]] = instance["selfLink"]
    return found


def usable(cidr: str) -> list[str]:
    """Return the addresses of a range that VMs can have. Google reserves the first two and the last two."""
    network = ipaddress.IPv4Network(cidr)
    return [str(network[index]) for index in range(2, min(network.num_addresses - 2, 4096))]


def free_internal(cloud: Cloud, subnetwork: Json) -> str:
    """Return the lowest free address of a subnetwork."""
    taken = internal_taken(cloud, subnetwork["selfLink"])
    for address in usable(subnetwork["ipCidrRange"]):
        if address not in taken:
            return address
    raise ApiError(400, "IP_SPACE_EXHAUSTED", f"IP space of '{subnetwork['selfLink']}' is exhausted.")


def check_internal(subnetwork: Json, address: str, field: str) -> None:
    """Raise 400 for an address that VMs of the subnetwork cannot have."""
    network = ipaddress.IPv4Network(subnetwork["ipCidrRange"])
    try:
        inside = ipaddress.IPv4Address(address) in network
    except ValueError:
        inside = False
    if not inside or address in (str(network[0]), str(network[1]), str(network[-1]), str(network[-2])):
        raise invalid(field, address, f"IP address is not usable in the subnetwork's range {network}.")


def external_users(cloud: Cloud) -> dict[str, list[str]]:
    """Return the external addresses of instances, with the links of the instances."""
    found: dict[str, list[str]] = {}
    for instance in cloud.store.collection("compute.instances").list():
        for nic in instance["networkInterfaces"]:
            for config in nic.get("accessConfigs", ()):
                if config.get("natIP"):
                    found.setdefault(config["natIP"], []).append(instance["selfLink"])
    return found


def free_external(cloud: Cloud) -> str:
    """Return the lowest external address that is neither reserved nor used."""
    taken = {a["address"] for a in cloud.store.collection("compute.addresses").list()} | external_users(cloud).keys()
    for address in _EXTERNAL:
        if address not in taken:
            return address
    raise ApiError(403, "quotaExceeded", "Quota 'STATIC_ADDRESSES' exceeded. No external address is left.")
