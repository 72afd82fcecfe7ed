# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's public catalog: regions, zones, machine types, disk types and images. Data only."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The letters of the zones, and the region's range in an auto mode network.
REGIONS: dict[str, tuple[str, str]] = {
    "asia-east1": ("abc", "10.140.0.0/20"),
    "asia-northeast1": ("abc", "10.146.0.0/20"),
    "asia-south1": ("abc", "10.160.0.0/20"),
    "asia-southeast1": ("abc", "10.148.0.0/20"),
    "australia-southeast1": ("abc", "10.152.0.0/20"),
    "europe-central2": ("abc", "10.186.0.0/20"),
    "europe-north1": ("abc", "10.166.0.0/20"),
    "europe-west1": ("bcd", "10.132.0.0/20"),
    "europe-west2": ("abc", "10.154.0.0/20"),
    "europe-west3": ("abc", "10.156.0.0/20"),
    "europe-west4": ("abc", "10.164.0.0/20"),
    "europe-west6": ("abc", "10.172.0.0/20"),
    "northamerica-northeast1": ("abc", "10.162.0.0/20"),
    "southamerica-east1": ("abc", "10.158.0.0/20"),
    "us-central1": ("abcf", "10.128.0.0/20"),
    "us-east1": ("bcd", "10.142.0.0/20"),
    "us-east4": ("abc", "10.150.0.0/20"),
    "us-west1": ("abc", "10.138.0.0/20"),
    "us-west2": ("abc", "10.168.0.0/20"),
}
ZONES = tuple(sorted(f"{region}-{letter}" for region, (letters, _) in REGIONS.items() for letter in letters))
SCOPES = (*(f"regions/{region}" for region in REGIONS), *(f"zones/{zone}" for zone in ZONES))

_SIZES = {
    "e2-standard": (2, 4, 8, 16, 32),
    "e2-highmem": (2, 4, 8, 16),
    "e2-highcpu": (2, 4, 8, 16, 32),
    "n1-standard": (1, 2, 4, 8, 16, 32),
    "n2-standard": (2, 4, 8, 16, 32),
    "n2d-standard": (2, 4, 8, 16, 32),
    "n4-standard": (2, 4, 8, 16, 32),
}
MACHINE_TYPES = frozenset(
    {"e2-micro", "e2-small", "e2-medium"} | {f"{family}-{n}" for family, sizes in _SIZES.items() for n in sizes}
)
DISK_TYPES = frozenset({"hyperdisk-balanced", "pd-balanced", "pd-ssd", "pd-standard"})


@dataclass(frozen=True)
class Image:
    """A public image; `engine` is its name in the engine."""

    name: str
    family: str
    description: str
    created: str
    id: str
    engine: str


IMAGE_PROJECT = "debian-cloud"
IMAGES = (
    Image(
        "debian-12-bookworm-v20251111", "debian-12", "Debian, Debian GNU/Linux, 12 (bookworm), amd64",
        "2025-11-11T08:00:00.000-08:00", "5120000000000000012", "debian-12",
    ),
    Image(
        "debian-13-trixie-v20251111", "debian-13", "Debian, Debian GNU/Linux, 13 (trixie), amd64",
        "2025-11-11T08:00:00.000-08:00", "5130000000000000013", "debian-13",
    ),
)  # fmt: skip


def region_of(zone: str) -> str | None:
    """Return the region of a zone; None if there is no such zone."""
    return zone.rpartition("-")[0] if zone in ZONES else None


def image(name: str) -> Image | None:
    """Return the public image with this relative name.

    `projects/debian-cloud/global/images/NAME`, `…/images/family/F`, or gcloud's `…/zones/-/imageFamilyViews/F`.
    """
    view = re.fullmatch(rf"projects/{IMAGE_PROJECT}/zones/[^/]+/imageFamilyViews/([^/]+)", name)
    if view:
        name = f"projects/{IMAGE_PROJECT}/global/images/family/{view[1]}"
    prefix = f"projects/{IMAGE_PROJECT}/global/images/"
    if not name.startswith(prefix):
        return None
    rest = name.removeprefix(prefix)
    if rest.startswith("family/"):
        return next((i for i in IMAGES if i.family == rest.removeprefix("family/")), None)
    return next((i for i in IMAGES if i.name == rest), None)
