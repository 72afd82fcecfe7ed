# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Regions, zones, machine types, disk types and public images: read only."""

from __future__ import annotations

import zlib

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog
from localcloud.services.compute.api import aggregated, api, link, listed, place

_BORN = "1969-12-31T16:00:00.000-08:00"


def _missing(name: str) -> ApiError:
    return ApiError(404, "notFound", f"The resource '{name}' was not found")


def _number(name: str) -> str:
    return str(1000 + zlib.crc32(name.encode()) % 10**6)


def _region(call: Call, region: str) -> Json:
    prefix = f"projects/{call.project}"
    return {
        "kind": "compute#region",
        "id": _number(region),
        "creationTimestamp": _BORN,
        "name": region,
        "description": region,
        "status": "UP",
        "zones": [link(f"{prefix}/zones/{region}-{letter}") for letter in catalog.REGIONS[region][0]],
        "quotas": [],
        "selfLink": link(f"{prefix}/regions/{region}"),
        "supportsPzs": True,
    }


def _zone(call: Call, zone: str) -> Json:
    prefix = f"projects/{call.project}"
    return {
        "kind": "compute#zone",
        "id": _number(zone),
        "creationTimestamp": _BORN,
        "name": zone,
        "description": zone,
        "status": "UP",
        "region": link(f"{prefix}/regions/{catalog.region_of(zone)}"),
        "selfLink": link(f"{prefix}/zones/{zone}"),
        "availableCpuPlatforms": ["Intel Broadwell", "Intel Skylake", "AMD Rome"],
        "supportsPzs": True,
    }


def _machine_type(call: Call, zone: str, name: str) -> Json:
    cpus, memory = catalog.MACHINE_TYPES[name]
    return {
        "kind": "compute#machineType",
        "id": _number(name),
        "creationTimestamp": _BORN,
        "name": name,
        "description": f"{cpus} vCPUs, {memory / 1024:g} GB RAM",
        "guestCpus": cpus,
        "memoryMb": memory,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "isSharedCpu": name in ("e2-micro", "e2-small", "e2-medium"),
        "architecture": "X86_64",
        "zone": zone,
        "selfLink": link(f"projects/{call.project}/zones/{zone}/machineTypes/{name}"),
    }


def _disk_type(call: Call, zone: str, name: str) -> Json:
    description, sizes = catalog.DISK_TYPES[name]
    return {
        "kind": "compute#diskType",
        "id": _number(name),
        "creationTimestamp": _BORN,
        "name": name,
        "description": description,
        "validDiskSize": sizes,
        "defaultDiskSizeGb": "100",
        "zone": link(f"projects/{call.project}/zones/{zone}"),
        "selfLink": link(f"projects/{call.project}/zones/{zone}/diskTypes/{name}"),
    }


def image_document(image: catalog.Image) -> Json:
    """Return a public image as the API shows it."""
    base = f"projects/{catalog.IMAGE_PROJECT}"
    return {
        "kind": "compute#image",
        "id": image.id,
        "creationTimestamp": image.created,
        "name": image.name,
        "description": image.description,
        "family": image.family,
        "status": "READY",
        "sourceType": "RAW",
        "diskSizeGb": "10",
        "archiveSizeBytes": "1200000000",
        "architecture": "X86_64",
        "guestOsFeatures": [{"type": "UEFI_COMPATIBLE"}, {"type": "VIRTIO_SCSI_MULTIQUEUE"}, {"type": "GVNIC"}],
        "licenses": [link(f"{base}/global/licenses/{'-'.join(image.name.split('-')[:3])}")],
        "storageLocations": ["eu", "us", "asia"],
        "selfLink": link(f"{base}/global/images/{image.name}"),
    }


@api.method("compute.regions.list", permission="compute.regions.list")
def list_regions(call: Call) -> Json:
    """Return all regions."""
    return listed(call, "compute#regionList", [_region(call, region) for region in catalog.REGIONS])


@api.method("compute.regions.get", permission="compute.regions.get")
def get_region(call: Call) -> Json:
    """Return one region."""
    if call.params["region"] not in catalog.REGIONS:
        raise _missing(f"projects/{call.project}/regions/{call.params['region']}")
    return _region(call, call.params["region"])


@api.method("compute.zones.list", permission="compute.zones.list")
def list_zones(call: Call) -> Json:
    """Return all zones."""
    return listed(call, "compute#zoneList", [_zone(call, zone) for zone in catalog.ZONES])


@api.method("compute.zones.get", permission="compute.zones.get")
def get_zone(call: Call) -> Json:
    """Return one zone."""
    if call.params["zone"] not in catalog.ZONES:
        raise _missing(f"projects/{call.project}/zones/{call.params['zone']}")
    return _zone(call, call.params["zone"])


@api.method("compute.machineTypes.list", permission="compute.machineTypes.list")
def list_machine_types(call: Call) -> Json:
    """Return the machine types of a zone."""
    place(call)
    items = [_machine_type(call, call.params["zone"], name) for name in catalog.MACHINE_TYPES]
    return listed(call, "compute#machineTypeList", items)


@api.method("compute.machineTypes.aggregatedList", permission="compute.machineTypes.list")
def aggregate_machine_types(call: Call) -> Json:
    """Return the machine types of all zones."""
    items = [_machine_type(call, zone, name) for zone in catalog.ZONES for name in catalog.MACHINE_TYPES]
    scopes = [f"zones/{zone}" for zone in catalog.ZONES]
    return aggregated(call, "compute#machineTypeAggregatedList", "machineTypes", items, scopes)


@api.method("compute.machineTypes.get", permission="compute.machineTypes.get")
def get_machine_type(call: Call) -> Json:
    """Return one machine type."""
    name = call.params["machineType"]
    if name not in catalog.MACHINE_TYPES:
        raise _missing(f"{place(call)}/machineTypes/{name}")
    place(call)
    return _machine_type(call, call.params["zone"], name)


@api.method("compute.diskTypes.list", permission="compute.diskTypes.list")
def list_disk_types(call: Call) -> Json:
    """Return the disk types of a zone."""
    place(call)
    items = [_disk_type(call, call.params["zone"], name) for name in catalog.DISK_TYPES]
    return listed(call, "compute#diskTypeList", items)


@api.method("compute.diskTypes.get", permission="compute.diskTypes.get")
def get_disk_type(call: Call) -> Json:
    """Return one disk type."""
    name = call.params["diskType"]
    if name not in catalog.DISK_TYPES:
        raise _missing(f"{place(call)}/diskTypes/{name}")
    place(call)
    return _disk_type(call, call.params["zone"], name)


def _images(call: Call) -> list[catalog.Image]:
    """Return the public images for Google's image project; other projects have no images."""
    if call.params["project"] == catalog.IMAGE_PROJECT:
        return list(catalog.IMAGES)
    call.require("compute.images.list" if call.method and call.method.id.endswith("list") else "compute.images.get")
    return []


@api.method("compute.images.list", permission=None)
def list_images(call: Call) -> Json:
    """Return the images of a project; Debian's images are in `debian-cloud`."""
    return listed(call, "compute#imageList", [image_document(image) for image in _images(call)])


@api.method("compute.images.get", permission=None)
def get_image(call: Call) -> Json:
    """Return one image."""
    name = call.params["image"]
    for image in _images(call):
        if image.name == name:
            return image_document(image)
    raise _missing(f"projects/{call.params['project']}/global/images/{name}")


@api.method("compute.images.getFromFamily", permission=None)
def get_image_from_family(call: Call) -> Json:
    """Return the newest image of a family."""
    family = call.params["family"]
    for image in _images(call):
        if image.family == family:
            return image_document(image)
    raise _missing(f"projects/{call.params['project']}/global/images/family/{family}")


@api.method("compute.imageFamilyViews.get", permission=None)
def get_image_family_view(call: Call) -> Json:
    """Return the newest image of a family that is available in a zone."""
    return {"image": get_image_from_family(call)}
