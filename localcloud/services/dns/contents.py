# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The record sets of a zone: their form, their rules, and changes of several at once."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Call, Json
from localcloud.services.dns import rrdata
from localcloud.services.dns.api import exists, invalid, missing, not_emulated, required, shown, started

Part = tuple[str, Json]
"""A record set of a request, and Google's name of its place in the request."""
_SINGLE = ("CNAME", "SOA")
_AT_APEX = ("NS", "SOA")
_LARGEST_TTL = 2**31 - 1


def _record_sets(cloud: Cloud) -> Collection:
    """Return the record sets, by `ZONE/rrsets/NAME/TYPE`."""
    return cloud.store.collection("dns.resourceRecordSets")


def changes(cloud: Cloud) -> Collection:
    """Return the changes, by `ZONE/changes/NUMBER`. The first change creates the zone's NS and SOA records."""
    return cloud.store.collection("dns.changes")


def _order(record_set: Json) -> tuple[tuple[str, ...], str]:
    """Return the place of a record set in lists, which is unique: a name is before its subdomains."""
    return tuple(str(record_set["name"]).split(".")[::-1]), str(record_set["type"])


def record_sets(cloud: Cloud, zone_key: str) -> list[Json]:
    """Return the record sets of a zone, sorted by domain and type."""
    return sorted(_record_sets(cloud).list(f"{zone_key}/rrsets/"), key=_order)


def find(cloud: Cloud, zone_key: str, name: str, kind: str) -> Json | None:
    """Return one record set."""
    return _record_sets(cloud).get(f"{zone_key}/rrsets/{name.lower()}/{kind}")


def label(record_set: Json) -> str:
    """Return the name of a record set in messages: `NAME (TYPE)`."""
    return f"{record_set['name']} ({record_set['type']})"


def checked(zone: Json, given: Json, path: str) -> Json:
    """Return a record set of a request in the form in which it is stored. Raises 400, and 501 for unsupported types."""
    if given.get("routingPolicy"):
        raise not_emulated("routing policies")
    name, kind, ttl = rrdata.name(given.get("name") or "", wildcard=True), given.get("type") or "", given.get("ttl")
    if name is None or not f".{name}".endswith(f".{zone['dnsName']}"):
        raise invalid(f"{path}.name", given.get("name") or "")
    if kind in rrdata.OTHER_TYPES:
        raise not_emulated(f"records of the type {kind}")
    if kind not in rrdata.TYPES:
        raise invalid(f"{path}.type", kind)
    if ttl is None:
        raise required(f"{path}.ttl")
    if not 0 <= ttl <= _LARGEST_TTL:
        raise invalid(f"{path}.ttl", ttl)
    data = []
    for index, text in enumerate(given.get("rrdatas") or [""]):
        data.append(rrdata.canonical(kind, text))
        if data[-1] is None:
            raise invalid(f"{path}.rrdata[{index}]", text)
    result = {"kind": "dns#resourceRecordSet", "name": name, "type": kind, "ttl": ttl, "rrdatas": data}
    _check_rules(zone, result, path)
    return result


def _check_rules(zone: Json, record_set: Json, path: str) -> None:
    """Raise 400 for a record set that no zone may have."""
    name, kind = record_set["name"], record_set["type"]
    if kind in _SINGLE and len(record_set["rrdatas"]) > 1:
        message = (
            f"The resource record set '{path}' is only permitted to have one record because it is of type '{kind}'."
        )
        raise ApiError(400, "invalidRecordCount", message)
    if kind == "SOA" and name != zone["dnsName"]:
        raise _not_at_apex(path, kind)
    if kind == "NS" and name.startswith("*."):  # the text of the message is not proven
        message = f"The resource record set '{path}' is invalid because a set of type 'NS' cannot be a wildcard."
        raise ApiError(400, "wildcardNotAllowed", message)


def _not_at_apex(path: str, kind: str) -> ApiError:
    message = (
        f"The resource record set '{path}' is invalid because a zone must contain exactly one resource record set of "
        f"type '{kind}' at the apex."
    )
    return ApiError(400, "invalidZoneApex", message)


def apply(call: Call, zone_key: str, zone: Json, deletions: list[Part], additions: list[Part]) -> Json:
    """Delete and add record sets, all or none; return the change. Call it inside a transaction.

    Raises 404 and 412 for a deletion without an equal record set, 409 for an addition that exists, and 400 for a result
    that breaks the rules of DNS.
    """
    after = {_order(each): each for each in record_sets(call.cloud, zone_key)}
    for path, given in deletions:
        found = after.pop(_order(given), None)
        if found is None:
            raise missing(path, label(given))
        if found["ttl"] != given["ttl"] or sorted(found["rrdatas"]) != sorted(given["rrdatas"]):
            raise ApiError(412, "conditionNotMet", f"Precondition not met for '{path}'")
    for path, given in additions:
        if _order(given) in after:
            raise exists(path, label(given))
        after[_order(given)] = given
    for path, given in deletions:
        if given["name"] == zone["dnsName"] and given["type"] in _AT_APEX and _order(given) not in after:
            raise _not_at_apex(path, given["type"])
    for path, given in additions:
        _check_alone(list(after.values()), given, path)
    for _, given in deletions:
        _record_sets(call.cloud).delete(_key(zone_key, given))
    for _, given in additions:
        _record_sets(call.cloud).put(_key(zone_key, given), given)
    return _recorded(call, zone_key, [each for _, each in deletions], [each for _, each in additions])


def _check_alone(all_sets: list[Json], given: Json, path: str) -> None:
    """Raise 400 if a CNAME record has the same name as other records."""
    for other in all_sets:
        if other["name"] == given["name"] and other != given and "CNAME" in (other["type"], given["type"]):
            message = (
                f"The resource record set '{path}' is invalid because the DNS name '{given['name']}' has a resource "
                f"record set of the type '{other['type']}'. A DNS name may have either one CNAME resource record set "
                "or resource record sets of other types, but not both."
            )
            raise ApiError(400, "cnameResourceRecordSetConflict", message)


def _key(zone_key: str, record_set: Json) -> str:
    return f"{zone_key}/rrsets/{record_set['name']}/{record_set['type']}"


def _recorded(call: Call, zone_key: str, deletions: list[Json], additions: list[Json]) -> Json:
    number = len(changes(call.cloud).list(f"{zone_key}/changes/"))
    change: Json = {"kind": "dns#change", "id": str(number)} | started(call)
    change |= {"additions": additions} if additions else {}
    change |= {"deletions": deletions} if deletions else {}
    changes(call.cloud).put(f"{zone_key}/changes/{number:010}", change)
    return shown(call, change)


def create(call: Call, zone_key: str, zone: Json) -> None:
    """Create the NS and SOA records of a new zone. Call it inside a transaction."""
    soa = f"{zone['nameServers'][0]} cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"
    given = [{"type": "NS", "rrdatas": zone["nameServers"]}, {"type": "SOA", "rrdatas": [soa]}]
    parts = [("", checked(zone, each | {"name": zone["dnsName"], "ttl": 21600}, "")) for each in given]
    apply(call, zone_key, zone, [], parts)


def remove(call: Call, zone_key: str, zone: Json) -> None:
    """Remove the contents of a zone. Raises 400 if it has other records than its NS and SOA records."""
    found = record_sets(call.cloud, zone_key)
    if any(each["name"] != zone["dnsName"] or each["type"] not in _AT_APEX for each in found):
        message = (
            f"The resource named '{zone['name']}' cannot be deleted because it contains one or more 'resource records'."
        )
        raise ApiError(400, "containerNotEmpty", message)
    for collection in (_record_sets(call.cloud), changes(call.cloud)):
        for key, _ in collection.items(f"{zone_key}/"):
            collection.delete(key)
