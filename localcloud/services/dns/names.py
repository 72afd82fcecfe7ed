# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The public zones of all projects, for the name server of VMs."""

from __future__ import annotations

from localcloud.engine.base import HostedZone, RecordSet, ZoneLookup
from localcloud.framework.cloud import Cloud
from localcloud.services.dns import contents
from localcloud.services.dns.api import api, zones


def hosted_zones(cloud: Cloud) -> ZoneLookup:
    """Return the function that finds the zone of a name, read from the store."""

    def zone_of(name: str) -> HostedZone | None:
        found = [item for item in zones(cloud).items() if f".{name}".endswith(f".{item[1]['dnsName']}")]
        if not found:
            return None
        key, zone = min(found, key=lambda item: (-len(item[1]["dnsName"]), item[1]["creationTime"]))
        sets = contents.record_sets(cloud, key)
        return HostedZone(
            zone["dnsName"],
            tuple(RecordSet(each["name"], each["type"], each["ttl"], tuple(each["rrdatas"])) for each in sets),
        )

    return zone_of


api.hosted_zones = hosted_zones
