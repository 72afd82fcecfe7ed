# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Managed zones."""

from __future__ import annotations

import re
import uuid

from localcloud.core.errors import ApiError
from localcloud.framework.lifecycle import merge, wrong_label
from localcloud.framework.service import Call, Json
from localcloud.services.dns import contents, rrdata
from localcloud.services.dns.api import (
    api,
    exists,
    invalid,
    listing,
    not_emulated,
    required,
    zone_of,
    zone_resource,
    zones,
)
from localcloud.services.dns.managed_zone_operations import operations, recorded

_ID = "dns.managedZones."
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PATH = "entity.managedZone"
_OUTPUT_ONLY = ("kind", "id", "creationTime", "nameServers")
_IMMUTABLE = ("name", "dnsName", "visibility")
_PRIVATE = (
    "privateVisibilityConfig", "forwardingConfig", "peeringConfig", "reverseLookupConfig", "serviceDirectoryConfig",
)  # fmt: skip
_SHARDS = "abcde"  # Google has five sets of name servers


def _checked(given: Json) -> Json:
    """Return the fields of a zone that a caller sets, with the defaults. Raises 400, and 501 for unsupported fields."""
    zone = {field: value for field, value in given.items() if field not in _OUTPUT_ONLY and value is not None}
    for field in ("name", "dnsName", "description"):
        if zone.get(field) is None:
            raise required(f"{_PATH}.{field}")
    name, dns_name = zone["name"], rrdata.name(zone["dnsName"])
    if not _NAME.fullmatch(name):
        raise invalid(f"{_PATH}.name", name)
    if dns_name is None:
        raise invalid(f"{_PATH}.dnsName", zone["dnsName"])
    if len(zone["description"]) > 1024:
        raise invalid(f"{_PATH}.description", zone["description"])
    if zone.get("nameServerSet"):  # only some customers have sets
        raise invalid(f"{_PATH}.nameServerSet", zone["nameServerSet"])
    label = wrong_label(zone.get("labels"))
    if label:
        raise invalid(f"{_PATH}.labels", label)
    if zone.get("visibility") == "private" or any(zone.get(field) for field in _PRIVATE):
        raise not_emulated("private zones")
    if (zone.get("dnssecConfig") or {}).get("state", "off") != "off":
        raise not_emulated("DNSSEC")
    logging = {"kind": "dns#managedZoneCloudLoggingConfig"} | zone.get("cloudLoggingConfig", {})
    fields = ("name", "description", "labels", "dnssecConfig")
    fixed = {"dnsName": dns_name, "visibility": "public", "cloudLoggingConfig": logging}
    return {field: zone[field] for field in fields if zone.get(field) is not None} | fixed


def _name_servers(call: Call, dns_name: str) -> list[str]:
    """Return the name servers of a new zone: each of them can have one zone of a DNS name. Raises 400 if none is left.

    Also raises 400 for a top-level domain, which Google reserves.
    """
    used = {zone["nameServers"][0] for zone in zones(call.cloud).list() if zone["dnsName"] == dns_name}
    for shard in _SHARDS if dns_name.count(".") > 1 else "":
        names = [f"ns-cloud-{shard}{number}.googledomains.com." for number in range(1, 5)]
        if names[0] not in used:
            return names
    message = f"The '{dns_name}' managed zone is not available to be created."
    raise ApiError(400, "managedZoneDnsNameNotAvailable", message)


@api.method(_ID + "create", permission=_ID + "create")
def create(call: Call) -> Json:
    """Create a public zone with its NS and SOA records."""
    zone = _checked(call.body)
    key = f"projects/{call.project}/managedZones/{zone['name']}"
    with call.cloud.store.transaction():
        if zones(call.cloud).get(key):
            raise exists(_PATH, zone["name"])
        zone |= {
            "kind": "dns#managedZone",
            "id": str(uuid.uuid4().int >> 65),
            "creationTime": call.cloud.clock.now(),
            "nameServers": _name_servers(call, zone["dnsName"]),
        }
        zones(call.cloud).put(key, zone)
        contents.create(call, key, zone)
    return zone


@api.method(_ID + "get", permission=_ID + "get", resource=zone_resource)
def get(call: Call) -> Json:
    """Return one zone."""
    return zone_of(call)[1]


@api.method(_ID + "list", permission=_ID + "list")
def list_zones(call: Call) -> Json:
    """Return the zones of the project; `dnsName` selects those with this DNS name."""
    found, dns_name = zones(call.cloud).list(f"projects/{call.project}/managedZones/"), call.params.get("dnsName")
    if dns_name is not None:
        if not dns_name.endswith("."):
            raise invalid("parameters.dnsName", dns_name)
        found = [zone for zone in found if zone["dnsName"] == dns_name.lower()]
    return listing(call, "dns#managedZonesListResponse", "managedZones", found)


def _change(call: Call, change: Json, *, replace: bool) -> Json:
    with call.cloud.store.transaction():
        key, old = zone_of(call)
        given = {field: value for field, value in change.items() if field not in _OUTPUT_ONLY}
        # A body may leave these fields out, but not change them.
        kept = {field: old[field] for field in _IMMUTABLE} | ({"description": ""} if replace else {})
        wanted = _checked(kept | given if replace else merge(old, given))
        for field in _IMMUTABLE:
            if wanted[field] != old[field]:
                raise ApiError(400, "invalid", f"The field '{_PATH}.{field}' cannot be modified.")
        new = {field: old[field] for field in _OUTPUT_ONLY} | wanted
        zones(call.cloud).put(key, new)
        return recorded(call, key, old, new)


@api.method(_ID + "patch", permission=_ID + "update", resource=zone_resource)
def patch(call: Call) -> Json:
    """Change the fields of the body."""
    return _change(call, call.body, replace=False)


@api.method(_ID + "update", permission=_ID + "update", resource=zone_resource)
def update(call: Call) -> Json:
    """Replace the zone: fields that the body lacks get their defaults."""
    return _change(call, call.body, replace=True)


@api.method(_ID + "delete", permission=_ID + "delete", resource=zone_resource)
def delete(call: Call) -> None:
    """Delete a zone without records of the user."""
    with call.cloud.store.transaction():
        key, zone = zone_of(call)
        contents.remove(call, key, zone)
        for operation, _ in operations(call.cloud).items(f"{key}/"):
            operations(call.cloud).delete(operation)
        zones(call.cloud).delete(key)
        call.cloud.permissions.forget(f"//{api.host}/{key}")


# -- policies


@api.method(_ID + "getIamPolicy", permission=_ID + "getIamPolicy", resource=zone_resource)
def get_policy(call: Call) -> Json:
    """Return the zone's own policy."""
    version = int((call.body.get("options") or {}).get("requestedPolicyVersion") or 1)
    return call.cloud.permissions.policy(f"//{api.host}/{zone_of(call)[0]}", version)


@api.method(_ID + "setIamPolicy", permission=_ID + "setIamPolicy", resource=zone_resource)
def set_policy(call: Call) -> Json:
    """Replace the zone's own policy."""
    resource, policy = f"//{api.host}/{zone_of(call)[0]}", call.body.get("policy") or {}
    return call.cloud.permissions.set_policy(resource, policy, mask=call.body.get("updateMask"))
