# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The desired state of the engine's network, computed from the documents of all projects."""

from __future__ import annotations

import threading
import weakref

from localcloud.core.errors import ApiError
from localcloud.core.store import Collection
from localcloud.engine.base import AddressMap, EngineError, NetworkState, Rule, Subnet
from localcloud.framework.cloud import Cloud, Work, step
from localcloud.framework.service import Json
from localcloud.metadata.changes import CHANGES
from localcloud.services.compute.documents import COMPUTE

# Stopped VMs have no external address. In the other states the network assigns one.
_WITHOUT_EXTERNAL = ("TERMINATED", "SUSPENDED")
PEERING = "servicenetworking-googleapis-com"
_locks: weakref.WeakKeyDictionary[Cloud, threading.Lock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


def connections(cloud: Cloud) -> Collection:
    """Return Service Networking's records by network (relative name).

    `ranges` maps an allocated range's name to its CIDR. `networks.removePeering` removes the peering but keeps the
    record. Such a record connects nothing.
    """
    return cloud.store.collection("servicenetworking.connections")


def peered_ranges(cloud: Cloud) -> dict[str, dict[str, str]]:
    """Return the ranges (CIDR by name) of each network whose connection has its peering."""
    networks = cloud.store.collection("compute.networks")
    return {
        network: connection["ranges"]
        for network, connection in connections(cloud).items()
        if PEERING in [peering["name"] for peering in (networks.get(network) or {}).get("peerings", ())]
    }


def lingering(cloud: Cloud) -> Collection:
    """Return deleted producers that still hold a connection, by `NETWORK/ADDRESS`: `since`, in seconds."""
    return cloud.store.collection("servicenetworking.lingering")


def instances_in(cloud: Cloud, *, network: str = "", subnetwork: str = "") -> list[Json]:
    """Return the instances of all projects with an interface in a network or subnetwork (relative names)."""
    wanted = f"{COMPUTE}/{network or subnetwork}"
    field = "network" if network else "subnetwork"
    found = cloud.store.collection("compute.instances").list()
    return [i for i in found if any(nic[field] == wanted for nic in i["networkInterfaces"])]


def engine_network(link_or_name: str) -> str:
    """Return the engine's name of a network: `PROJECT/NAME`."""
    parts = link_or_name.removeprefix(f"{COMPUTE}/").split("/")
    return f"{parts[1]}/{parts[-1]}"


def wanted(cloud: Cloud) -> NetworkState:
    """Return the whole network of all projects.

    It contains only subnetworks with VMs: networks may use the same ranges unless both have VMs.
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
    """Return a firewall rule with resolved tags and accounts; None if it matches no VM now."""
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


def has_target(firewall: Json, instance: Json, nic: Json) -> bool:
    """Return whether an interface of an instance is a target of a firewall rule, which may be disabled."""
    if nic["network"] != firewall["network"]:
        return False
    targets = _chosen([(instance, nic)], firewall.get("targetTags"), firewall.get("targetServiceAccounts"))
    return targets != ()


def _chosen(
    cards: list[tuple[Json, Json]], tags: list[str] | None, accounts: list[str] | None
) -> tuple[str, ...] | None:
    """Return internal addresses of the VMs with one of the tags or accounts; None if neither is given."""
    if not tags and not accounts:
        return None
    return tuple(
        nic["networkIP"]
        for instance, nic in cards
        if set(tags or ()) & set(instance.get("tags", {}).get("items", ()))
        or set(accounts or ()) & {account["email"] for account in instance.get("serviceAccounts", ())}
    )


def apply(cloud: Cloud) -> None:
    """Apply the documents to the engine's network under a lock, and wake requests that wait for metadata."""
    with _locks_lock:
        lock = _locks.setdefault(cloud, threading.Lock())
    try:
        with lock:
            cloud.engine.network.apply(wanted(cloud))
    except EngineError as error:
        raise ApiError(500, "INTERNAL", str(error)) from error
    CHANGES.notify()


@step("compute.network")
def _apply(work: Work) -> None:
    apply(work.cloud)
