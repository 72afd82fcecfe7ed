# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Zonal disks: the boot disks of instances. The data is in the VM's container; this file has the documents."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog, removal
from localcloud.services.compute.api import (
    aggregated,
    api,
    check_labels,
    in_use,
    invalid,
    last,
    link,
    listed,
    new,
    new_labels,
    operation,
    place,
    ready,
    relative,
    resources,
)
from localcloud.services.compute.documents import COMPUTE
from localcloud.services.compute.places import image_document


def _name(call: Call) -> str:
    return f"{place(call)}/disks/{call.params.get('disk') or call.params['resource']}"


def image_of(call: Call, reference: str, field: str) -> catalog.Image:
    """Return the image of a link. Raises 404."""
    name = relative(call.cloud, call.project or "", reference, field)
    found = catalog.image(name)
    if found is None:
        raise ApiError(404, "notFound", f"The resource '{name}' was not found")
    return found


def create(call: Call, name: str, parameters: Json, image: catalog.Image, user: str) -> Json:
    """Write the boot disk of an instance (its link), from `initializeParams`."""
    field = "resource.disks[0].initializeParams"
    zone = place(call)
    wanted = parameters.get("diskType") or f"{zone}/diskTypes/pd-standard"
    kind = relative(call.cloud, call.project or "", wanted, f"{field}.diskType")
    if kind.rpartition("/")[0] != f"{zone}/diskTypes" or last(kind) not in catalog.DISK_TYPES:
        raise invalid(f"{field}.diskType", wanted, f"The disk type does not exist in {zone}.")
    size = int(parameters.get("diskSizeGb") or 10)
    if size < 10:
        raise invalid(f"{field}.diskSizeGb", size, "Requested disk size cannot be smaller than the image size (10 GB).")
    check_labels(parameters.get("labels"))
    public = image_document(image)
    document = new(call, "compute#disk", name) | {
        "sizeGb": str(size),
        "status": "READY",
        "type": link(kind),
        "sourceImage": public["selfLink"],
        "sourceImageId": public["id"],
        "guestOsFeatures": public["guestOsFeatures"],
        "licenses": public["licenses"],
        "architecture": "X86_64",
        "physicalBlockSizeBytes": "4096",
        "lastAttachTimestamp": call.cloud.clock.pacific(),
        "users": [user],
    }
    if parameters.get("labels"):
        document["labels"] = parameters["labels"]
    return resources(call.cloud, "disks").create(name, document)


@api.method("compute.disks.get", permission="compute.disks.get")
def get(call: Call) -> Json:
    """Return one disk."""
    return resources(call.cloud, "disks").get(_name(call))


@api.method("compute.disks.list", permission="compute.disks.list")
def list_disks(call: Call) -> Json:
    """Return the disks of a zone."""
    return listed(call, "compute#diskList", resources(call.cloud, "disks").list(f"{place(call)}/disks/"))


@api.method("compute.disks.aggregatedList", permission="compute.disks.list")
def aggregate(call: Call) -> Json:
    """Return the disks of all zones."""
    found = resources(call.cloud, "disks").list(f"projects/{call.project}/")
    return aggregated(call, "compute#diskAggregatedList", "disks", found, catalog.SCOPES)


@api.method("compute.disks.setLabels", permission="compute.disks.setLabels")
def set_labels(call: Call) -> Json:
    """Replace the labels; needs their fingerprint."""
    name, change = _name(call), new_labels(call, "disks")
    return operation(call, "setLabels", name, lambda: resources(call.cloud, "disks").update(name, change))


@api.method("compute.disks.resize", permission="compute.disks.update")
def resize(call: Call) -> Json:
    """Grow the disk. A disk cannot shrink."""
    name, size = _name(call), int(call.body.get("sizeGb") or 0)

    def update() -> Json:
        ready(call.cloud, name)
        stored = resources(call.cloud, "disks").get(name)
        if size <= int(stored["sizeGb"]):
            raise invalid("sizeGb", size, f"New disk size must be larger than the existing size {stored['sizeGb']}.")
        for user in stored.get("users", ()):
            resources(call.cloud, "instances").update(user.removeprefix(f"{COMPUTE}/"), _boot_size(size))
        return resources(call.cloud, "disks").update(name, lambda d: d | {"sizeGb": str(size)})

    return operation(call, "resizeDisk", name, update)


def _boot_size(size: int) -> Callable[[Json], Json]:
    return lambda instance: instance | {"disks": [instance["disks"][0] | {"diskSizeGb": str(size)}]}


@api.method("compute.disks.delete", permission="compute.disks.delete")
def delete(call: Call) -> Json:
    """Delete a disk that no instance uses."""
    return removal.delete(call, "disks", _name(call))


def _check(cloud: Cloud, disk: Json) -> None:
    for user in disk.get("users", ()):
        raise in_use("disk", disk["selfLink"].removeprefix(f"{COMPUTE}/"), user.removeprefix(f"{COMPUTE}/"))


removal.checked_by("disks", _check)
