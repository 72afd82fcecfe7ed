# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Record sets, one at a time. Each change of one is in the list of changes, too."""

from __future__ import annotations

from localcloud.framework.service import Call, Json
from localcloud.services.dns import contents, rrdata
from localcloud.services.dns.api import (
    api,
    invalid,
    listing,
    missing,
    not_emulated,
    record_set_resource,
    zone_of,
    zone_resource,
)

_ID = "dns.resourceRecordSets."
_PATH = "entity.rrset"
# Google's documentation names this permission for changes. That it counts for these methods is not proven.
_CHANGE = "dns.changes.create"


def _resource(call: Call) -> str:
    """Return the name of the record set in the path or, for a new one, in the body."""
    name, kind = (call.params.get(field) or call.body.get(field) for field in ("name", "type"))
    return record_set_resource(call, name, kind)


def _existing(call: Call, zone_key: str) -> Json:
    name, kind = str(call.params["name"]), str(call.params["type"])
    found = contents.find(call.cloud, zone_key, name, kind)
    if found is None:
        raise missing("parameters.name", contents.label({"name": name, "type": kind}))
    return found


@api.method(_ID + "list", permission=_ID + "list", resource=zone_resource)
def list_record_sets(call: Call) -> Json:
    """Return the record sets of a zone; `name`, alone or with `type`, selects."""
    found = contents.record_sets(call.cloud, zone_of(call)[0])
    name, kind = call.params.get("name"), call.params.get("type")
    if call.params.get("filter"):
        raise not_emulated("filters for lists of record sets")
    if (kind and not name) or (name and not name.endswith(".")):
        raise invalid("parameters.name", name or "")
    if kind and kind not in (*rrdata.TYPES, *rrdata.OTHER_TYPES):
        raise invalid("parameters.type", kind)
    found = [each for each in found if not name or each["name"] == name.lower()]
    found = [each for each in found if not kind or each["type"] == kind]
    return listing(call, "dns#resourceRecordSetsListResponse", "rrsets", found)


@api.method(_ID + "get", permission=_ID + "get", resource=_resource)
def get(call: Call) -> Json:
    """Return one record set."""
    return _existing(call, zone_of(call)[0])


@api.method(_ID + "create", permission=_ID + "create", resource=_resource)
def create(call: Call) -> Json:
    """Create a record set."""
    call.require(_CHANGE, resource=zone_resource(call))
    with call.cloud.store.transaction():
        key, zone = zone_of(call)
        new = contents.checked(zone, call.body, _PATH)
        contents.apply(call, key, zone, [], [(_PATH, new)])
    return new


@api.method(_ID + "patch", permission=_ID + "update", resource=_resource)
def patch(call: Call) -> Json:
    """Change the TTL or the data of a record set."""
    call.require(_CHANGE, resource=zone_resource(call))
    with call.cloud.store.transaction():
        key, zone = zone_of(call)
        old = _existing(call, key)
        new = contents.checked(zone, old | {k: v for k, v in call.body.items() if v is not None}, _PATH)
        for field in ("name", "type"):
            if new[field] != old[field]:
                raise invalid(f"{_PATH}.{field}", new[field])
        contents.apply(call, key, zone, [(_PATH, old)], [(_PATH, new)])
    return new


@api.method(_ID + "delete", permission=_ID + "delete", resource=_resource)
def delete(call: Call) -> Json:
    """Delete a record set."""
    call.require(_CHANGE, resource=zone_resource(call))
    with call.cloud.store.transaction():
        key, zone = zone_of(call)
        contents.apply(call, key, zone, [(_PATH, _existing(call, key))], [])
    return {}
