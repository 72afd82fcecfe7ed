# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Service Networking: private services access, which gives Google's services addresses in a VPC network."""

from __future__ import annotations

import re
import uuid

from localcloud.core.errors import ApiError
from localcloud.core.links import relative_name
from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud, Work, at_activation, step
from localcloud.framework.operations import as_longrunning
from localcloud.framework.service import Call, Json
from localcloud.services.compute import netstate, ranges
from localcloud.services.compute.api import resources
from localcloud.services.compute.documents import COMPUTE
from localcloud.services.compute.networks import without_peering
from localcloud.services.servicenetworking.api import api

PEERING = netstate.PEERING
SERVICE = "services/servicenetworking.googleapis.com"
_CREATE = "servicenetworking.services.connections.create"
_PATCH = "servicenetworking.services.connections.patch"
_DELETE = "servicenetworking.services.connections.deleteConnection"


# -- for services that run servers in a peered range


def network_name(cloud: Cloud, reference: str) -> str:
    """Return the relative name, with the project's id, of a network given as a link or with the project's number."""
    name = relative_name(reference, cloud.projects.id_of) or ""
    if not re.fullmatch(r"projects/[^/]+/global/networks/[^/]+", name):
        raise ApiError(400, None, f"Invalid network '{reference}': not projects/NUMBER/global/networks/NAME.")
    return name


def allocate(cloud: Cloud, network: str) -> tuple[str, str]:
    """Allocate an address for a new server of a Google service; return (address, CIDR of its range).

    Raises 400 FAILED_PRECONDITION if the network has no private services connection or no free address. Release the
    address with `release`.
    """
    name = network_name(cloud, network)
    with cloud.store.transaction():
        peered = netstate.peered_ranges(cloud).get(name)
        if peered is None:
            message = (
                f"Failed to create subnetwork. Network '{name}' has no private services connection: "
                "set up private services access and try again. NETWORK_NOT_PEERED"
            )
            raise ApiError(400, "FAILED_PRECONDITION", message)
        allocated = cloud.store.collection("servicenetworking.allocations")
        for cidr in peered.values():
            for address in ranges.usable(cidr):
                key = f"{name}/{address}"
                if allocated.get(key) is None:
                    allocated.put(key, {"range": cidr})
                    return address, cidr
    message = "Failed to create subnetwork. Couldn't find free blocks in allocated IP ranges."
    raise ApiError(400, "FAILED_PRECONDITION", message)


def release(cloud: Cloud, network: str, address: str) -> None:
    """Release an address of `allocate`. Idempotent.

    The server keeps the connection in use for the duration of the switch `producers`.
    """
    key = f"{network_name(cloud, network)}/{address}"
    if cloud.store.collection("servicenetworking.allocations").delete(key):
        netstate.lingering(cloud).put(key, {"since": cloud.clock.time()})


def _producers(cloud: Cloud, network: str) -> list[str]:
    """Return the network's private Cloud SQL instances, including recently deleted instances."""
    oldest = cloud.clock.time() - cloud.profiles.of(network.split("/")[1]).seconds("producers")
    found = [key for key, left in netstate.lingering(cloud).items(f"{network}/") if left["since"] > oldest]
    for key, instance in cloud.store.collection("sqladmin.instances").items():
        private = instance.get("settings", {}).get("ipConfiguration", {}).get("privateNetwork")
        if private and network_name(cloud, private) == network:
            found.append(key)
    return found


# -- the service agent


def _agents(cloud: Cloud) -> Collection:
    """Return the state of service agents by project: `since` (first enabled), and the number of refused calls."""
    return cloud.store.collection("servicenetworking.agents")


@at_activation("servicenetworking.googleapis.com")
def _make_agent(cloud: Cloud, project: str) -> None:
    if _agents(cloud).get(project) is None:
        _agents(cloud).put(project, {"since": cloud.clock.time(), "lists": 0, "operations": 0})


def _agent_works(cloud: Cloud, project: str, kind: str) -> None:
    """Raise Google's errors while the agent of a new project, or its role, has not propagated.

    Every second list is refused (kind `lists`). Every operation (kind `operations`) fails: the agent is unknown or
    lacks its role, in turn. The switch `service_agents` has the duration.
    """
    with cloud.store.transaction():
        agent = _agents(cloud).get(project)
        if agent is None or cloud.clock.time() >= agent["since"] + cloud.profiles.of(project).seconds("service_agents"):
            return
        _agents(cloud).put(project, agent | {kind: agent[kind] + 1})
    second = agent[kind] % 2 == 1
    if kind == "lists":
        if not second:
            raise ApiError(400, "FAILED_PRECONDITION", "Precondition check failed.")
    elif second:
        message = f"Required 'compute.globalAddresses.list' permission for 'projects/{project}'"
        raise ApiError(403, "PERMISSION_DENIED", message)
    else:
        message = (
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential."
        )
        raise ApiError(401, "UNAUTHENTICATED", message)


# -- methods


def _body_network(call: Call) -> str:
    given = call.body.get("network") or call.body.get("consumerNetwork") or call.params.get("network") or ""
    return network_name(call.cloud, given)


def _project(call: Call) -> str | None:
    return _body_network(call).split("/")[1]


def _shown(cloud: Cloud, network: str, connection: Json) -> Json:
    _, project, _, _, name = network.split("/")
    return {
        "network": f"projects/{cloud.projects.number_of(project)}/global/networks/{name}",
        "peering": PEERING,
        "reservedPeeringRanges": list(connection["ranges"]),
        "service": SERVICE,
    }


def _resolved(call: Call, network: str, names: list[str]) -> dict[str, str]:
    """Return the CIDR of allocated ranges by name. Raises 400 for a range that the network does not have."""
    project = network.split("/")[1]
    found: dict[str, str] = {}
    for name in names:
        address = resources(call.cloud, "addresses").find(f"projects/{project}/global/addresses/{name}")
        if address is None or address.get("purpose") != "VPC_PEERING" or address["network"] != f"{COMPUTE}/{network}":
            raise ApiError(400, None, f"Invalid value: allocated range '{name}' was not found on network '{network}'.")
        found[name] = f"{address['address']}/{address['prefixLength']}"
    return found


def _existing_network(call: Call, network: str) -> None:
    if resources(call.cloud, "networks").find(network) is None:
        raise ApiError(404, None, f"The network '{network}' was not found.")


def _started(call: Call, name: str, network: str, verb: str, args: Json) -> Json:
    operation = call.cloud.operations.start(
        name, {"network": network} | args, service="servicenetworking", project=network.split("/")[1], verb=verb,
        target=network, user=call.caller.email, method=name,
    )  # fmt: skip
    return as_longrunning(operation)


@api.method(_CREATE, permission="servicenetworking.services.addPeering", project=_project)
def create(call: Call) -> Json:
    """Peer a network with Google's services, which get addresses from its allocated ranges."""
    network = _body_network(call)
    _existing_network(call, network)
    names = list(call.body.get("reservedPeeringRanges") or [])
    if not names:
        raise ApiError(400, None, "Invalid value: reserved_peering_ranges must not be empty.")
    return _started(call, _CREATE, network, "create", {"ranges": _resolved(call, network, names)})


@step(_CREATE)
def _create(work: Work) -> Json:
    network, wanted = work.args["network"], work.args["ranges"]
    _agent_works(work.cloud, network.split("/")[1], "operations")
    with work.cloud.store.transaction():
        connection = netstate.connections(work.cloud).get(network)
        if connection is not None and set(connection["ranges"]) != set(wanted):
            message = "Cannot modify allocated ranges in CreateConnection. Please use UpdateConnection."
            raise ApiError(400, "FAILED_PRECONDITION", message)
        _write(work.cloud, network, wanted)
    return _done(work.cloud, network)


def _write(cloud: Cloud, network: str, wanted: dict[str, str]) -> None:
    netstate.connections(cloud).put(network, {"ranges": wanted})
    resources(cloud, "networks").update(network, lambda document: _peered(cloud, document))


def _peered(cloud: Cloud, network: Json) -> Json:
    if any(peering["name"] == PEERING for peering in network.get("peerings", ())):
        return network
    tenant = uuid.uuid5(uuid.NAMESPACE_URL, network["selfLink"]).hex[:17]
    peering = {
        "name": PEERING,
        "network": f"{COMPUTE}/projects/{tenant}-tp/global/networks/servicenetworking",
        "state": "ACTIVE",
        "stateDetails": f"[{cloud.clock.pacific()}]: Connected.",
        "autoCreateRoutes": True,
        "exchangeSubnetRoutes": True,
        "exportCustomRoutes": False,
        "importCustomRoutes": False,
        "exportSubnetRoutesWithPublicIp": False,
        "importSubnetRoutesWithPublicIp": False,
        "stackType": "IPV4_ONLY",
    }
    return network | {"peerings": [*network.get("peerings", ()), peering]}


def _done(cloud: Cloud, network: str) -> Json:
    netstate.apply(cloud)
    connection = netstate.connections(cloud).get(network) or {"ranges": {}}
    kind = "type.googleapis.com/google.cloud.servicenetworking.v1.Connection"
    return {"@type": kind} | _shown(cloud, network, connection)


def _parent_permission(call: Call) -> str | None:
    return network_name(call.cloud, call.params["network"]).split("/")[1] if call.params.get("network") else None


@api.method(
    "servicenetworking.services.connections.list",
    permission="servicenetworking.services.get",
    project=_parent_permission,
)
def list_connections(call: Call) -> Json:
    """Return the connection of a network, if Service Networking has a record of it."""
    if not call.params.get("network"):
        raise ApiError(400, None, "Invalid value: network is required.")
    network = network_name(call.cloud, call.params["network"])
    _existing_network(call, network)
    _agent_works(call.cloud, network.split("/")[1], "lists")
    connection = netstate.connections(call.cloud).get(network)
    return {"connections": [_shown(call.cloud, network, connection)]} if connection else {}


@api.method(_PATCH, permission="servicenetworking.services.addPeering", project=_project)
def patch(call: Call) -> Json:
    """Replace the ranges of a connection. Without `force`, a range in use cannot be removed.

    With `force`, a missing connection is created: Terraform creates all connections this way.
    """
    if call.params.get("updateMask") not in (None, "*", "reservedPeeringRanges"):
        raise ApiError(400, None, f"Invalid value: update_mask '{call.params['updateMask']}'.")
    network = _body_network(call)
    _existing_network(call, network)
    names = list(call.body.get("reservedPeeringRanges") or [])
    args = {"ranges": _resolved(call, network, names), "force": bool(call.params.get("force"))}
    return _started(call, _PATCH, network, "patch", args)


@step(_PATCH)
def _patch(work: Work) -> Json:
    cloud, network, wanted = work.cloud, work.args["network"], work.args["ranges"]
    _agent_works(cloud, network.split("/")[1], "operations")
    with cloud.store.transaction():
        connection = netstate.connections(cloud).get(network)
        if connection is None and not work.args["force"]:
            raise ApiError(404, None, "Connection not found.")
        connection = connection or {"ranges": {}}
        lost = {cidr for name, cidr in connection["ranges"].items() if name not in wanted}
        used = {doc["range"] for _, doc in cloud.store.collection("servicenetworking.allocations").items(f"{network}/")}
        if lost & used and not work.args["force"]:
            message = "Cannot remove allocated ranges that are in use. Set force to true to do so anyway."
            raise ApiError(400, "FAILED_PRECONDITION", message)
        _write(cloud, network, wanted)
    return _done(cloud, network)


@api.method(_DELETE, permission="servicenetworking.services.deleteConnection", project=_project)
def delete(call: Call) -> Json:
    """Delete a connection that no service uses."""
    network = _body_network(call)
    _existing_network(call, network)
    # gcloud names the connection `-`, other clients use the name of the peering.
    if not str(call.params["name"]).endswith((f"/connections/{PEERING}", "/connections/-")):
        raise ApiError(404, None, f"Connection '{call.params['name']}' not found.")
    if netstate.connections(call.cloud).get(network) is None:
        raise ApiError(404, None, f"Connection '{call.params['name']}' not found.")
    return _started(call, _DELETE, network, "delete", {})


@step(_DELETE)
def _delete(work: Work) -> None:
    cloud, network = work.cloud, work.args["network"]
    with cloud.store.transaction():
        if _producers(cloud, network):
            message = (
                "Failed to delete connection; Producer services (e.g. CloudSQL, Cloud Memstore, etc.) are still using "
                "this connection."
            )
            raise ApiError(400, "FAILED_PRECONDITION", message)
        netstate.connections(cloud).delete(network)
        resources(cloud, "networks").update(network, lambda document: without_peering(document, PEERING))
    netstate.apply(cloud)


@api.method("servicenetworking.operations.get", permission=None)
def get_operation(call: Call) -> Json:
    """Return an operation."""
    name = str(call.params["name"]).removeprefix("operations/")
    found = call.cloud.operations.get(name)
    if found is None or found["service"] != "servicenetworking":
        raise ApiError(404, None, f"Operation '{name}' not found.")
    call.require("servicenetworking.operations.get", project=found["project"])
    return as_longrunning(found)
