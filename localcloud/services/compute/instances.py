# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Instances: create, read, start, stop, delete."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.constraints import enforced
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, constraints, netstate
from localcloud.services.compute.api import (
    aggregated,
    api,
    checked_name,
    failed,
    invalid,
    link,
    listed,
    operation,
    part,
    place,
    ready,
    resources,
)
from localcloud.services.compute.new_instance import LateError, create, external_address


def name_of(call: Call) -> str:
    """Return the relative name of the instance in the call's path."""
    return f"{place(call)}/instances/{call.params.get('instance') or call.params['resource']}"


@api.method("compute.instances.insert", permission="compute.instances.create")
def insert(call: Call) -> Json:
    """Create an instance with its boot disk, and boot it."""
    name = f"{place(call)}/instances/{checked_name(call.body)}"
    try:
        return operation(call, "insert", name, lambda: create(call, name), run="compute.instances.insert")
    except LateError as refusal:
        return failed(call, name, refusal.code, str(refusal))


@api.method("compute.instances.get", permission="compute.instances.get")
def get(call: Call) -> Json:
    """Return one instance."""
    return resources(call.cloud, "instances").get(name_of(call))


@api.method("compute.instances.list", permission="compute.instances.list")
def list_instances(call: Call) -> Json:
    """Return the instances of a zone."""
    return listed(call, "compute#instanceList", resources(call.cloud, "instances").list(f"{place(call)}/instances/"))


@api.method("compute.instances.aggregatedList", permission="compute.instances.list")
def aggregate(call: Call) -> Json:
    """Return the instances of all zones."""
    found = resources(call.cloud, "instances").list(f"projects/{call.project}/")
    return aggregated(call, "compute#instanceAggregatedList", "instances", found, catalog.SCOPES)


def _transition(call: Call, verb: str, allowed: dict[str, str | None]) -> Json:
    """Change the status; `allowed` maps a status to the next status, or None for no change."""
    name = name_of(call)
    document = resources(call.cloud, "instances").get(name)
    idle = document["status"] in allowed and allowed[document["status"]] is None

    def change() -> Json:
        ready(call.cloud, name)
        current = resources(call.cloud, "instances").get(name)
        if idle:
            return current
        becomes = allowed.get(current["status"])
        if becomes is None:
            raise ApiError(400, "resourceNotReady", f"The resource '{name}' is not ready")
        if verb in ("start", "resume"):
            _take_addresses(call, current)
        return resources(call.cloud, "instances").update(name, lambda d: d | current | {"status": becomes})

    return operation(call, verb, name, change, run="compute.network" if idle else f"compute.instances.{verb}")


def _take_addresses(call: Call, instance: Json) -> None:
    """Allocate a new ephemeral address if the old one was released at the stop."""
    region = catalog.region_of(part(instance["selfLink"], "zones")) or ""
    for nic in instance["networkInterfaces"]:
        for config in nic.get("accessConfigs", ()):
            if not config.get("natIP"):
                config["natIP"] = external_address(call, {}, region, "resource")


@api.method("compute.instances.start", permission="compute.instances.start")
def start(call: Call) -> Json:
    """Boot a stopped instance."""
    return _transition(call, "start", {"TERMINATED": "STAGING", "RUNNING": None})


@api.method("compute.instances.stop", permission="compute.instances.stop")
def stop(call: Call) -> Json:
    """Shut an instance down. Disk and internal address stay, an ephemeral external address is released."""
    return _transition(call, "stop", {"RUNNING": "STOPPING", "SUSPENDED": "STOPPING", "TERMINATED": None})


@api.method("compute.instances.suspend", permission="compute.instances.suspend")
def suspend(call: Call) -> Json:
    """Suspend an instance. Its memory is not kept here: it shuts down, and boots at resume."""
    return _transition(call, "suspend", {"RUNNING": "SUSPENDING", "SUSPENDED": None})


@api.method("compute.instances.resume", permission="compute.instances.resume")
def resume(call: Call) -> Json:
    """Resume a suspended instance."""
    return _transition(call, "resume", {"SUSPENDED": "STAGING", "RUNNING": None})


@api.method("compute.instances.reset", permission="compute.instances.reset")
def reset(call: Call) -> Json:
    """Cut the power and boot again."""
    return _transition(call, "reset", {"RUNNING": "RUNNING"})


@api.method("compute.instances.delete", permission="compute.instances.delete")
def delete(call: Call) -> Json:
    """Delete an instance, and its disk if autoDelete is set."""
    name = name_of(call)

    def change() -> Json:
        instance = resources(call.cloud, "instances").get(name)
        ready(call.cloud, name)
        if instance["deletionProtection"]:
            message = "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion.'"
            raise ApiError(400, "invalidUsage", message)
        return resources(call.cloud, "instances").update(name, lambda d: d | {"status": "STOPPING"})

    return operation(call, "delete", name, change, run="compute.instances.delete")


@api.method("compute.instances.getSerialPortOutput", permission="compute.instances.getSerialPortOutput")
def serial_port_output(call: Call) -> Json:
    """Return the VM's console output from a byte position on."""
    instance = resources(call.cloud, "instances").get(name_of(call))
    text = call.cloud.engine.machines.console(instance["id"])
    start = int(call.params.get("start") or 0)
    start = len(text) + start if start < 0 else start
    return {
        "kind": "compute#serialPortOutput",
        "contents": text[start:],
        "start": str(start),
        "next": str(max(start, len(text))),
        "selfLink": f"{instance['selfLink']}/serialPort",
    }


@api.method("compute.instances.getGuestAttributes", permission="compute.instances.getGuestAttributes")
def guest_attributes(call: Call) -> Json:
    """Return the VM's guest attributes: `queryPath` is `namespace/` or `namespace/key`."""
    name = name_of(call)
    resources(call.cloud, "instances").get(name)
    if enforced(call.cloud, call.project or "", constraints.NO_GUEST_ATTRIBUTES):
        raise constraints.violated(constraints.NO_GUEST_ATTRIBUTES, call.project or "")
    query = call.params.get("queryPath") or call.params.get("variableKey") or ""
    stored = call.cloud.store.collection("compute.guestAttributes").get(name) or {}
    namespace, _, key = query.partition("/")
    items = [
        {"namespace": space, "key": k, "value": value}
        for space, pairs in sorted(stored.items())
        for k, value in sorted(pairs.items())
        if namespace in ("", space) and key in ("", k)
    ]
    if not items:
        raise ApiError(404, "notFound", f"The resource '{query}' of type 'Guest Attribute' was not found.")
    answer: Json = {"kind": "compute#guestAttributes", "selfLink": link(f"{name}/guestAttributes/{query}")}
    if call.params.get("variableKey"):
        return answer | {"variableKey": query, "variableValue": items[0]["value"]}
    return answer | {"queryPath": query, "queryValue": {"items": items}}


@api.method("compute.instances.getEffectiveFirewalls", permission="compute.instances.getEffectiveFirewalls")
def get_effective_firewalls(call: Call) -> Json:
    """Return the firewall rules whose target is an interface of the instance, also disabled rules."""
    instance, name = resources(call.cloud, "instances").get(name_of(call)), call.params["networkInterface"]
    nic = next((nic for nic in instance["networkInterfaces"] if nic["name"] == name), None)
    if nic is None:
        raise invalid("networkInterface", name, f"The instance has no interface {name}.")
    rules = resources(call.cloud, "firewalls").list(f"projects/{part(nic['network'], 'projects')}/")
    found = [rule for rule in rules if netstate.has_target(rule, instance, nic)]
    return {"firewalls": sorted(found, key=lambda rule: (rule["direction"], rule["priority"], rule["name"]))}
