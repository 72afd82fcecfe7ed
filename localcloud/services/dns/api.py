# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Cloud DNS, its refusals, and functions that its collections share."""

from __future__ import annotations

from localcloud.access.refusals import Refusals
from localcloud.core.errors import ApiError, Dialect
from localcloud.core.store import Collection
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Call, Json, Service


class _Refusals(Refusals):
    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of a caller without a permission. It names none."""
        return ApiError(403, "forbidden", "Forbidden")


# The paths of the contract begin with the API's name, as in /dns/v1/projects.
api = Service(
    "dns",
    ("v1",),
    rooted=True,
    dialect=Dialect.REASON,
    refusals=_Refusals(),
    durations={"dns.*": 3.0},
    conditions_by_number=True,
    resource_types={
        "managedZones": "dns.googleapis.com/ManagedZone",
        "rrsets": "dns.googleapis.com/ResourceRecordSet",
    },
)


def invalid(path: str, value: object, reason: str = "invalid") -> ApiError:
    """Return the 400 about a value; `path` is Google's name of its field, such as `entity.managedZone.name`."""
    return ApiError(400, reason, f"Invalid value for '{path}': '{value}'")


def required(path: str) -> ApiError:
    """Return the 400 about a missing field."""
    return ApiError(400, "required", f"The '{path}' parameter is required but was missing.")


def missing(path: str, name: str) -> ApiError:
    """Return the 404 about a name in a field."""
    return ApiError(404, "notFound", f"The '{path}' resource named '{name}' does not exist.")


def exists(path: str, name: str) -> ApiError:
    """Return the 409 about the name of a new resource."""
    return ApiError(409, "alreadyExists", f"The resource '{path}' named '{name}' already exists")


def not_emulated(what: str) -> ApiError:
    """Return the 501 about a feature of Cloud DNS, in the plural."""
    return ApiError(501, None, f"The local cloud has no {what}.")


def zones(cloud: Cloud) -> Collection:
    """Return the managed zones, by `projects/P/managedZones/NAME`."""
    return cloud.store.collection("dns.managedZones")


def zone_of(call: Call) -> tuple[str, Json]:
    """Return (key, document) of the managed zone in the path, which has its name or its ID. Raises 404."""
    found = _found(call)
    if found is None:
        raise missing("parameters.managedZone", _given(call))
    return found


def _given(call: Call) -> str:
    # The methods of policies have the name of the zone's resource.
    return str(call.params.get("managedZone") or call.params["resource"].rpartition("/")[2])


def _found(call: Call) -> tuple[str, Json] | None:
    given, prefix = _given(call), f"projects/{call.project}/managedZones/"
    return next(((k, zone) for k, zone in zones(call.cloud).items(prefix) if given in (zone["name"], zone["id"])), None)


def zone_resource(call: Call) -> str:
    """Return the name of the zone in the path, for checks of permissions."""
    found = _found(call)
    return found[0] if found else f"projects/{call.project}/managedZones/{_given(call)}"


def record_set_resource(call: Call, name: object, kind: object) -> str:
    """Return the name of a record set of the zone in the path, for checks of permissions."""
    return f"{zone_resource(call)}/rrsets/{str(name).lower()}/{kind}"


def listing(call: Call, kind: str, key: str, items: list[Json]) -> Json:
    """Return a page of a list as an answer of a kind, such as `dns#changesListResponse`."""
    size = call.params.get("maxResults")
    if size is not None and size <= 0:
        raise invalid("parameters.maxResults", size)
    return {"kind": kind} | call.listing(key, items, size="maxResults")


# -- changes and operations, which are pending for the duration of their method


def started(call: Call) -> Json:
    """Return the first fields of a change or an operation that the call starts."""
    seconds = call.cloud.profiles.duration(call.project, call.method.id if call.method else "")
    return {"startTime": call.cloud.clock.now(), "end": call.cloud.clock.time() + seconds}


def shown(call: Call, document: Json) -> Json:
    """Return a change or an operation as an answer, with its status."""
    status = "done" if document["end"] <= call.cloud.clock.time() else "pending"
    return {name: value for name, value in document.items() if name != "end"} | {"status": status}
