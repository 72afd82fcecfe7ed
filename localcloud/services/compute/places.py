# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Regions, zones, machine types, disk types and public images: read only."""

from __future__ import annotations

import zlib

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.compute import catalog
from localcloud.services.compute.api import api, link, listed

_BORN = "1969-12-31T16:00:00.000-08:00"


def _missing(name: str) -> ApiError:
    return ApiError(404, "notFound", f"The resource '{name}' was not found")


def _number(name: str) -> str:
    return str(1000 + zlib.crc32(name.encode()) % 10**6)


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


def _images(call: Call) -> list[catalog.Image]:
    """Return the public images for Google's image project; other projects have no images."""
    if call.params["project"] == catalog.IMAGE_PROJECT:
        return list(catalog.IMAGES)
    call.require("compute.images.get")
    return []


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
