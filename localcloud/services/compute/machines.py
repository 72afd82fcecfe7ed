# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Steps of operations that create and change VMs in the engine, and repairs after a restart of the cloud."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from localcloud.core.errors import ApiError
from localcloud.engine.base import EngineError, MachineSpec
from localcloud.framework.cloud import Cloud, Work, at_start, step
from localcloud.framework.service import Json
from localcloud.services.compute import addresses, catalog, netstate
from localcloud.services.compute.api import last, part, resources
from localcloud.services.compute.documents import COMPUTE

_log = logging.getLogger(__name__)


def internal_name(instance: Json) -> str:
    """Return an instance's host name inside its network."""
    project, zone = part(instance["selfLink"], "projects"), last(instance["zone"])
    return f"{instance['name']}.{zone}.c.{project}.internal"


def _spec(cloud: Cloud, instance: Json) -> MachineSpec:
    nic = instance["networkInterfaces"][0]
    subnetwork = cloud.store.collection("compute.subnetworks").get(nic["subnetwork"].removeprefix(f"{COMPUTE}/"))
    disk = cloud.store.collection("compute.disks").get(instance["disks"][0]["source"].removeprefix(f"{COMPUTE}/"))
    if subnetwork is None or disk is None:
        raise EngineError(f"the subnetwork or the disk of {instance['name']} is gone")
    image = catalog.image(disk["sourceImage"].removeprefix(f"{COMPUTE}/"))
    if image is None:
        raise EngineError(f"the image {disk['sourceImage']} is gone")
    configs = nic.get("accessConfigs") or [{}]
    return MachineSpec(
        id=instance["id"],
        name=instance["name"],
        hostname=instance.get("hostname") or internal_name(instance),
        image=image.engine,
        network=netstate.engine_network(nic["network"]),
        subnetwork_cidr=subnetwork["ipCidrRange"],
        internal_ip=nic["networkIP"],
        external_ip=configs[0].get("natIP"),
    )


def _set(cloud: Cloud, name: str, fields: Json) -> None:
    """Change an instance's document, if it still exists."""
    with cloud.store.transaction():
        if resources(cloud, "instances").find(name):
            resources(cloud, "instances").update(name, lambda d: d | fields)


def _engine(work: Callable[[], None]) -> None:
    try:
        work()
    except EngineError as error:
        raise ApiError(500, "INTERNAL", str(error)) from error


def _forget(cloud: Cloud, name: str) -> None:
    """Remove an instance's document, its disk if autoDelete is set, and its guest attributes."""
    with cloud.store.transaction():
        instance = resources(cloud, "instances").find(name)
        if instance is None:
            return
        for disk in instance["disks"]:
            disk_name = disk["source"].removeprefix(f"{COMPUTE}/")
            if disk["autoDelete"]:
                resources(cloud, "disks").delete(disk_name)
            elif resources(cloud, "disks").find(disk_name):
                resources(cloud, "disks").update(disk_name, _detached)
        cloud.store.collection("compute.guestAttributes").delete(name)
        resources(cloud, "instances").delete(name)


def _detached(disk: Json) -> Json:
    return {k: v for k, v in disk.items() if k != "users"}


@step("compute.instances.insert")
def _insert(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").find(name)
    if instance is None:
        return
    try:
        # Apply the firewall rules before the VM boots.
        netstate.apply(cloud)
        if not cloud.engine.machines.running(instance["id"]):
            _set(cloud, name, {"status": "STAGING"})
            _engine(lambda: cloud.engine.machines.create(_spec(cloud, instance)))
    except ApiError:
        _engine(lambda: cloud.engine.machines.delete(instance["id"]))
        _forget(cloud, name)
        netstate.apply(cloud)
        raise
    _set(cloud, name, {"status": "RUNNING", "lastStartTimestamp": cloud.clock.pacific()})


@step("compute.instances.delete")
def _delete(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").find(name)
    if instance is not None:
        if cloud.engine.machines.running(instance["id"]):
            _engine(lambda: cloud.engine.machines.stop(instance["id"]))
        _engine(lambda: cloud.engine.machines.delete(instance["id"]))
        _forget(cloud, name)
    netstate.apply(cloud)


@step("compute.instances.stop")
def _stop(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").get(name)
    _engine(lambda: cloud.engine.machines.stop(instance["id"]))
    _stopped(cloud, name)
    netstate.apply(cloud)


@step("compute.instances.suspend")
def _suspend(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").get(name)
    _engine(lambda: cloud.engine.machines.stop(instance["id"]))
    _stopped(cloud, name, {"status": "SUSPENDED", "lastSuspendedTimestamp": cloud.clock.pacific()})
    netstate.apply(cloud)


def _stopped(cloud: Cloud, name: str, state: Json | None = None) -> None:
    """Mark an instance as stopped: it keeps its internal and a static external address, but no ephemeral address."""
    with cloud.store.transaction():
        instance = resources(cloud, "instances").find(name)
        if instance is None:
            return
        for nic in instance["networkInterfaces"]:
            for config in nic.get("accessConfigs", ()):
                if config.get("natIP") and addresses.static_name(cloud, config["natIP"]) is None:
                    del config["natIP"]
        instance |= state or {"status": "TERMINATED", "lastStopTimestamp": cloud.clock.pacific()}
        resources(cloud, "instances").update(name, lambda _: instance)


@step("compute.instances.resume")
@step("compute.instances.start")
def _start(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").get(name)
    netstate.apply(cloud)
    try:
        _engine(lambda: cloud.engine.machines.start(instance["id"]))
    except ApiError:
        _stopped(cloud, name)
        netstate.apply(cloud)
        raise
    _set(cloud, name, {"status": "RUNNING", "lastStartTimestamp": cloud.clock.pacific()})


@step("compute.instances.reset")
def _reset(work: Work) -> None:
    cloud, name = work.cloud, work.args["name"]
    instance = resources(cloud, "instances").get(name)
    _engine(lambda: cloud.engine.machines.reset(instance["id"]))
    _set(cloud, name, {"lastStartTimestamp": cloud.clock.pacific()})


@at_start
def reconcile(cloud: Cloud) -> None:
    """Reconcile instances with VMs after the local cloud was down.

    Running VMs keep running. A VM that should run but does not, as after a reboot of the host, is started in the
    background, as Google does after a host's failure. A stopped instance whose VM runs becomes a running instance.
    """
    instances = cloud.store.collection("compute.instances").items()
    there = set(cloud.engine.machines.ids()) if instances else set()
    asleep: list[str] = []
    for name, instance in instances:
        if cloud.operations.pending(name):
            continue  # its resumed operation handles the instance
        running = cloud.engine.machines.running(instance["id"])
        if running and instance["status"] != "RUNNING":
            _set(cloud, name, {"status": "RUNNING"})
        elif not running and instance["status"] not in ("TERMINATED", "SUSPENDED"):
            restart = instance["scheduling"].get("automaticRestart", True) and instance["id"] in there
            if restart:
                asleep.append(name)
                _set(cloud, name, {"status": "STAGING"})
            else:
                _stopped(cloud, name)
    if instances or netstate.connections(cloud).list():
        try:
            netstate.apply(cloud)
        except ApiError as error:
            _log.error("the network could not be set up: %s", error)
    if asleep:
        threading.Thread(target=_wake, args=(cloud, asleep), name="restart-machines", daemon=True).start()


def _wake(cloud: Cloud, names: list[str]) -> None:
    for name in names:
        instance = resources(cloud, "instances").find(name)
        if instance is None:
            continue
        try:
            cloud.engine.machines.start(instance["id"])
            _set(cloud, name, {"status": "RUNNING", "lastStartTimestamp": cloud.clock.pacific()})
        except EngineError as error:
            _log.error("%s could not be started again: %s", name, error)
            _stopped(cloud, name)
            netstate.apply(cloud)
