# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Changes: record sets that are deleted and added together."""

from __future__ import annotations

from localcloud.framework.service import Call, Json
from localcloud.services.dns import contents
from localcloud.services.dns.api import (
    api,
    invalid,
    listing,
    missing,
    record_set_resource,
    required,
    shown,
    zone_of,
    zone_resource,
)

_ID = "dns.changes."


def _parts(call: Call, zone: Json, direction: str) -> list[contents.Part]:
    """Return the record sets of `additions` or `deletions`."""
    parts = []
    for given in call.body.get(direction) or ():
        path = f"entity.change.{direction}[{given.get('name') or ''}][{given.get('type') or ''}]"
        parts.append((path, contents.checked(zone, given, path)))
    return parts


def _require(call: Call, deletions: list[contents.Part], additions: list[contents.Part]) -> None:
    """Raise 403 unless the caller may create, update and delete record sets as the change does."""
    old, new = ({(each["name"], each["type"]) for _, each in parts} for parts in (deletions, additions))
    for verb, needed in (("create", new - old), ("update", new & old), ("delete", old - new)):
        for name, kind in sorted(needed):
            call.require(f"dns.resourceRecordSets.{verb}", resource=record_set_resource(call, name, kind))


@api.method(_ID + "create", permission=_ID + "create", resource=zone_resource)
def create(call: Call) -> Json:
    """Delete and add record sets, all or none. A deletion must equal the stored record set."""
    with call.cloud.store.transaction():
        key, zone = zone_of(call)
        deletions, additions = _parts(call, zone, "deletions"), _parts(call, zone, "additions")
        if not deletions and not additions:
            raise required("entity.change")
        _require(call, deletions, additions)
        return contents.apply(call, key, zone, deletions, additions)


@api.method(_ID + "get", permission=_ID + "get", resource=zone_resource)
def get(call: Call) -> Json:
    """Return one change."""
    for change in contents.changes(call.cloud).list(f"{zone_of(call)[0]}/changes/"):
        if change["id"] == call.params["changeId"]:
            return shown(call, change)
    raise missing("parameters.changeId", call.params["changeId"])


@api.method(_ID + "list", permission=_ID + "list", resource=zone_resource)
def list_changes(call: Call) -> Json:
    """Return the changes of a zone, oldest first; `sortOrder=descending` has the newest first."""
    order = call.params.get("sortOrder") or "ascending"
    if order not in ("ascending", "descending"):
        raise invalid("parameters.sortOrder", order)
    found = contents.changes(call.cloud).list(f"{zone_of(call)[0]}/changes/")
    found = [shown(call, change) for change in (found if order == "ascending" else reversed(found))]
    return listing(call, "dns#changesListResponse", "changes", found)
