# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VPC networks."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, netstate, removal, subnetworks
from localcloud.services.compute.api import (
    api,
    checked_name,
    in_use,
    invalid,
    last,
    link,
    listed,
    new_document,
    operation,
    place,
    ready,
    resources,
)

_PATCHABLE = ("routingConfig", "mtu", "description", "networkFirewallPolicyEnforcementOrder")


def _name(call: Call) -> str:
    return f"{place(call)}/networks/{call.params['network']}"


def _shown(cloud: Cloud, document: Json) -> Json:
    own = [s["selfLink"] for s in cloud.store.collection("compute.subnetworks").list() if _is_in(s, document)]
    return document | ({"subnetworks": own} if own else {})


def _is_in(subnetwork: Json, network: Json) -> bool:
    return bool(subnetwork["network"] == network["selfLink"])


@api.method("compute.networks.insert", permission="compute.networks.create")
def insert(call: Call) -> Json:
    """Create a network; in auto mode, with a subnetwork in every region."""
    body = call.body
    name = f"{place(call)}/networks/{checked_name(body)}"
    if body.get("IPv4Range") or body.get("autoCreateSubnetworks") is None:
        raise ApiError(400, "badRequest", "Legacy networks are not supported anymore: set autoCreateSubnetworks.")
    mtu = body.get("mtu")
    if mtu and not 1300 <= mtu <= 8896:
        raise invalid("resource.mtu", mtu, "Must be between 1300 and 8896.")
    _check_supported(body)

    return operation(call, "insert", name, lambda: create(call.cloud, name, body))


def create(cloud: Cloud, name: str, body: Json) -> Json:
    """Write a new network; in auto mode, with its subnetworks."""
    document = new_document(cloud, "compute#network", name) | {
        "autoCreateSubnetworks": body["autoCreateSubnetworks"],
        "routingConfig": {"routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY"}
        | (body.get("routingConfig") or {}),
        "networkFirewallPolicyEnforcementOrder": body.get("networkFirewallPolicyEnforcementOrder")
        or "AFTER_CLASSIC_FIREWALL",
    }
    project = name.split("/")[1]
    document["selfLinkWithId"] = link(f"projects/{project}/global/networks/{document['id']}")
    # A network that was created without an MTU shows no MTU.
    document |= {field: body[field] for field in ("description", "mtu") if body.get(field)}
    document = resources(cloud, "networks").create(name, document)
    if document["autoCreateSubnetworks"]:
        for region, (_, cidr) in catalog.REGIONS.items():
            subnetworks.create(cloud, f"projects/{project}/regions/{region}/subnetworks/{last(name)}", name, cidr)
    return document


def _check_supported(body: Json) -> None:
    if body.get("enableUlaInternalIpv6") or body.get("internalIpv6Range"):
        raise ApiError(501, None, "The local cloud has no IPv6.")
    if body.get("networkProfile"):
        raise ApiError(501, None, "The local cloud has no network profiles.")


@api.method("compute.networks.get", permission="compute.networks.get")
def get(call: Call) -> Json:
    """Return one network."""
    return _shown(call.cloud, resources(call.cloud, "networks").get(_name(call)))


@api.method("compute.networks.list", permission="compute.networks.list")
def list_networks(call: Call) -> Json:
    """Return the networks of a project."""
    found = resources(call.cloud, "networks").list(f"{place(call)}/networks/")
    return listed(call, "compute#networkList", [_shown(call.cloud, d) for d in found])


@api.method("compute.networks.patch", permission="compute.networks.update")
def patch(call: Call) -> Json:
    """Change routing mode, MTU or description."""
    name = _name(call)
    stored = resources(call.cloud, "networks").get(name)
    _check_supported(call.body)
    for field, value in call.body.items():
        if field not in _PATCHABLE and (value or None) != (stored.get(field) or None):
            raise invalid(f"resource.{field}", value, "This field cannot be changed.")
    change = {k: v for k, v in call.body.items() if k in _PATCHABLE}

    def update() -> Json:
        ready(call.cloud, name)
        return resources(call.cloud, "networks").update(name, lambda d: merge(d, change))

    return operation(call, "compute.networks.patch", name, update)


@api.method("compute.networks.removePeering", permission="compute.networks.removePeering")
def remove_peering(call: Call) -> Json:
    """Remove a peering from this side, even if it is in use. Its ranges become unreachable.

    The record of Service Networking stays, as at Google.
    """
    name, peering = _name(call), call.body.get("name")

    def update() -> Json:
        network = resources(call.cloud, "networks").get(name)
        if peering not in [p["name"] for p in network.get("peerings", ())]:
            raise ApiError(400, "invalid", f"There is no peering ({peering}) for the network.")
        return resources(call.cloud, "networks").update(name, lambda d: without_peering(d, str(peering)))

    return operation(call, "removePeering", name, update)


def without_peering(network: Json, peering: str) -> Json:
    """Return the network's document without one of its peerings."""
    left = [p for p in network.get("peerings", ()) if p["name"] != peering]
    rest = {k: v for k, v in network.items() if k != "peerings"}
    return rest | ({"peerings": left} if left else {})


@api.method("compute.networks.delete", permission="compute.networks.delete")
def delete(call: Call) -> Json:
    """Delete an unused network; in auto mode, with its subnetworks."""
    return removal.delete(call, "networks", _name(call))


def _check(cloud: Cloud, network: Json) -> None:
    short = network["selfLink"].split("/v1/", 1)[1]
    for kind in ("instances", "firewalls", "subnetworks", "addresses"):
        if kind == "subnetworks" and network["autoCreateSubnetworks"]:
            continue
        for user in cloud.store.collection(f"compute.{kind}").list():
            networks = {nic["network"] for nic in user.get("networkInterfaces", ())} | {user.get("network")}
            if network["selfLink"] in networks:
                raise in_use("network", short, user["selfLink"].split("/v1/", 1)[1])
    for peering in network.get("peerings", ()):
        raise in_use("network", short, f"{short}/peerings/{peering['name']}")


def _along(cloud: Cloud, network: Json) -> None:
    """Remove the resources that are deleted with a network.

    This includes the record of its private services connection. In reports of 2019, a new network with the same name
    still had the old record. Google has said since that this is fixed; there is no evidence against it.
    """
    name = network["selfLink"].split("/v1/", 1)[1]
    netstate.connections(cloud).delete(name)
    lingering = netstate.lingering(cloud)
    for key, _ in lingering.items(f"{name}/"):
        lingering.delete(key)
    for key, subnetwork in cloud.store.collection("compute.subnetworks").items():
        if _is_in(subnetwork, network):
            resources(cloud, "subnetworks").delete(key)


removal.checked_by("networks", _check, _along)
