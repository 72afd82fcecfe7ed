# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compute Engine: networks, firewall rules, addresses, VM instances and related resources, one file for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Importing a file binds its handlers.
from localcloud.services.compute import (  # noqa: F401
    addresses,
    defaults,
    disks,
    firewalls,
    instance_changes,
    instances,
    machines,
    networks,
    operations,
    places,
    projects,
    subnetworks,
)
from localcloud.services.compute.common import api
from localcloud.services.compute.directory import Directory

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.services.metadata import InstanceDirectory

__all__ = ["api", "instance_directory"]


def instance_directory(cloud: Cloud) -> Directory:
    """Return the directory that maps addresses to instances, for the metadata server and the name server."""
    directory = Directory(cloud)
    _: InstanceDirectory = directory
    return directory
