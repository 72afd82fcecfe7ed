# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The network as the engine should have it, computed from the documents of all projects."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from localcloud.engine.base import AddressMap, EngineError, NetworkState, Rule, Subnet
from localcloud.errors import ApiError
from localcloud.operations import COMPUTE, Work, step
from localcloud.service import Json
from localcloud.services import metadata
from localcloud.store import Collection

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

# The network gives a machine its address and takes it away; in between it is off.
_WITHOUT_EXTERNAL = ("TERMINATED", "SUSPENDED")
PEERING = "servicenetworking-googleapis-com"
_locks: weakref.WeakKeyDictionary[Cloud, threading.Lock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


def connections(cloud: Cloud) -> Collection:
    """Service Networking's records by network (relative name): `ranges`, from an allocated range's name to its CIDR.

    A record outlives the peering that `networks.removePeering` ended, and connects nothing then.
    """
    return cloud.store.collection("servicenetworking.connections")


def peered_ranges(cloud: Cloud) -> dict[str, dict[str, str]]:
    """The ranges (CIDR by name) of each network that has the peering of its connection."""
    networks = cloud.store.collection("compute.networks")
    return {
        network: connection["ranges"]
        for network, connection in connections(cloud).items()
        if PEERING in [peering["name"] for peering in (networks.get(network) or {}).get("peerings", ())]
    }


def lingering(cloud: Cloud) -> Collection:
    """Producers that were deleted and still hold a connection, by `NETWORK/ADDRESS`: `since`, in seconds."""
    return cloud.store.collection("servicenetworking.lingering")


def instances_in(cloud: Cloud, *, network: str = "", subnetwork: str = "") -> list[Json]:
    """The instances of all projects with a network card in a network or subnetwork (relative names)."""
    wanted = f"{COMPUTE}/{network or subnetwork}"
    field = "network" if network else "subnetwork"
    found = cloud.store.collection("compute.instances").list()
    return [i for i in found if any(nic[field] == wanted for nic in i["networkInterfaces"])]


def engine_network(link_or_name: str) -> str:
    """What the engine calls a network: `PROJECT/NAME`."""
    parts = link_or_name.removeprefix(f"{COMPUTE}/").split("/")
    return f"{parts[1]}/{parts[-1]}"


def wanted(cloud: Cloud) -> NetworkState:
    """The whole network of all projects.

    Only subnetworks with machines are in it: networks may use the same ranges as long as no machine is in both.
    """
    with cloud.store.transaction():
        instances = cloud.store.collection("compute.instances").list()
        subnetworks = {s["selfLink"]: s for s in cloud.store.collection("compute.subnetworks").list()}
        firewalls = cloud.store.collection("compute.firewalls").list()
        connected = peered_ranges(cloud)
    cards = [(instance, nic) for instance in instances for nic in instance["networkInterfaces"]]
    used = sorted({nic["subnetwork"] for _, nic in cards} & subnetworks.keys())
    addresses = sorted(
        (config["natIP"], nic["networkIP"])
        for instance, nic in cards
        for config in nic.get("accessConfigs", ())
        if config.get("natIP") and instance["status"] not in _WITHOUT_EXTERNAL
    )
    rules = [rule for firewall in firewalls if (rule := _rule(firewall, cards)) is not None]
    return NetworkState(
        subnetworks=tuple(
            Subnet(engine_network(subnetworks[name]["network"]), subnetworks[name]["ipCidrRange"]) for name in used
        ),
        peered_ranges=tuple(
            Subnet(engine_network(network), cidr) for network, ranges in connected.items() for cidr in ranges.values()
        ),
        addresses=tuple(AddressMap(external, internal) for external, internal in addresses),
        firewall=tuple(rules),
    )


def _rule(firewall: Json, cards: list[tuple[Json, Json]]) -> Rule | None:
    """A firewall rule with tags and accounts resolved; None for one that matches nothing now."""
    if firewall.get("disabled"):
        return None
    inside = [(instance, nic) for instance, nic in cards if nic["network"] == firewall["network"]]
    targets = _chosen(inside, firewall.get("targetTags"), firewall.get("targetServiceAccounts"))
    sources = _chosen(inside, firewall.get("sourceTags"), firewall.get("sourceServiceAccounts"))
    source_ranges = tuple(firewall.get("sourceRanges") or ()) + tuple(f"{ip}/32" for ip in sources or ())
    if targets == () or (sources is not None and not source_ranges):
        return None
    entries = firewall.get("allowed") or firewall.get("denied") or []
    return Rule(
        network=engine_network(firewall["network"]),
        direction=firewall["direction"],
        priority=firewall["priority"],
        allow="allowed" in firewall,
        source_ranges=source_ranges,
        target_ips=targets,
        protocols=tuple((entry["IPProtocol"], tuple(entry.get("ports") or ())) for entry in entries),
        destination_ranges=tuple(firewall.get("destinationRanges") or ()),
    )


def _chosen(
    cards: list[tuple[Json, Json]], tags: list[str] | None, accounts: list[str] | None
) -> tuple[str, ...] | None:
    """Internal addresses of the machines with one of the tags or accounts; None when neither was asked for."""
    if not tags and not accounts:
        return None
    return tuple(
        nic["networkIP"]
        for instance, nic in cards
        if set(tags or ()) & set(instance.get("tags", {}).get("items", ()))
        or set(accounts or ()) & {account["email"] for account in instance.get("serviceAccounts", ())}
    )


def apply(cloud: Cloud) -> None:
    """Make the engine's network what the documents say, one caller at a time; wakes who waits for metadata."""
    with _locks_lock:
        lock = _locks.setdefault(cloud, threading.Lock())
    try:
        with lock:
            cloud.engine.network.apply(wanted(cloud))
    except EngineError as error:
        raise ApiError(500, "INTERNAL", str(error)) from error
    metadata.CHANGES.notify()


@step("compute.network")
def _apply(work: Work) -> None:
    apply(work.cloud)
