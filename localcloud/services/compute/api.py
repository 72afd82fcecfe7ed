# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Compute Engine and functions for all its resources: names, new documents, operations and lists."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from localcloud.access.refusals import Refusals
from localcloud.core.errors import ApiError, Dialect
from localcloud.core.links import relative_name
from localcloud.framework.cloud import Cloud, Work, step
from localcloud.framework.lifecycle import Resources, wrong_label
from localcloud.framework.service import Call, Json, Service
from localcloud.services.compute import catalog, constraints
from localcloud.services.compute.documents import COMPUTE, as_compute
from localcloud.services.compute.filters import FilterError, compile_filter


class _Refusals(Refusals):
    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of a caller without a permission."""
        return ApiError(403, "forbidden", f"Required '{permission}' permission for '{resource}'")


api = Service(
    "compute",
    ("v1",),
    dialect=Dialect.REASON,
    refusals=_Refusals(),
    constraints=constraints.ALL,
    durations={
        "compute.instances.insert": 12.0,
        "compute.instances.delete": 40.0,
        "compute.instances.stop": 25.0,
        "compute.networks.insert": 12.0,
        "compute.networks.delete": 20.0,
        "compute.subnetworks.insert": 15.0,
        "compute.firewalls.*": 8.0,
        "compute.addresses.*": 4.0,
        "compute.*": 6.0,
    },
)

NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_FINGERPRINTS: dict[str, dict[str, str | None]] = {
    "subnetworks": {"fingerprint": None},
    "addresses": {"labelFingerprint": "labels"},
    "disks": {"labelFingerprint": "labels"},
    "instances": {"labelFingerprint": "labels", "fingerprint": None},
}


def resources(cloud: Cloud, kind: str) -> Resources:
    """Return the resources of a kind, by relative name. `networks` is a kind; `addresses` includes global addresses."""
    return Resources(cloud, f"compute.{kind}", base=COMPUTE, fingerprinted=_FINGERPRINTS.get(kind))


def link(name: str) -> str:
    """Return the full URL of a relative name."""
    return f"{COMPUTE}/{name}"


def relative(cloud: Cloud, project: str, reference: str, field: str) -> str:
    """Return the relative name (`projects/p/…`) of a link in any spelling. Raises 400 for other values."""
    name = relative_name(reference, cloud.projects.id_of, project)
    if name is None:
        raise invalid(field, reference, "The URL is malformed.")
    return name


def last(name: str) -> str:
    """Return the last part of a name or link."""
    return name.rpartition("/")[2]


def part(name: str, collection: str) -> str:
    """Return the segment after a collection in a name or link: `part(link, "zones")`; empty if it has none."""
    found = re.search(rf"(?:^|/){collection}/([^/]+)", name)
    return found[1] if found else ""


def invalid(field: str, value: Any, why: str) -> ApiError:
    """Return a 400 with Compute's message."""
    return ApiError(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def in_use(kind: str, name: str, by: str) -> ApiError:
    """Return a 400 for a resource that another resource uses."""
    message = f"The {kind} resource '{name}' is already being used by '{by}'"
    return ApiError(400, "resourceInUseByAnotherResource", message)


def checked_name(body: Json) -> str:
    """Return the resource's name from a body, after a check."""
    name = body.get("name")
    if not name:
        raise ApiError(400, "required", "Required field 'resource.name' not specified")
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, f"Must be a match of regex '(?:{NAME.pattern})'")
    return str(name)


def check_labels(labels: Json | None) -> None:
    """Raise 400 for labels that Google refuses."""
    label = wrong_label(labels)
    if label:
        raise invalid("resource.labels", label, "Labels are lower case letters, digits, '_' and '-'.")


def scope_of(call: Call) -> str:
    """Return `global`, `regions/R` or `zones/Z` from the call's path. Raises 400 for an unknown region or zone."""
    region, zone = call.params.get("region"), call.params.get("zone")
    if region is not None:
        if region not in catalog.REGIONS:
            raise invalid("region", region, "Unknown region.")
        return f"regions/{region}"
    if zone is not None:
        if catalog.region_of(zone) is None:
            raise invalid("zone", zone, "Unknown zone.")
        return f"zones/{zone}"
    return "global"


def place(call: Call) -> str:
    """Return `projects/P/SCOPE` of the call."""
    if call.cloud.projects.get(call.project or "") is None:
        raise ApiError(404, "notFound", f"The resource 'projects/{call.project}' was not found")
    return f"projects/{call.project}/{scope_of(call)}"


def new(call: Call, kind: str, name: str) -> Json:
    """Return the fields that every new resource has; `kind` is `compute#network`."""
    return new_document(call.cloud, kind, name)


def new_document(cloud: Cloud, kind: str, name: str) -> Json:
    """Return the fields that every new resource has, for a resource that is created without a call."""
    document: Json = {
        "kind": kind,
        "id": str(cloud.store.next_number("compute.id", 1_000_000_000_000_000_001)),
        "creationTimestamp": cloud.clock.pacific(),
        "name": last(name),
    }
    scope = name.split("/")[2]
    if scope in ("regions", "zones"):
        document[scope.removesuffix("s")] = link("/".join(name.split("/")[:4]))
    return document


def operation(
    call: Call,
    verb: str,
    name: str,
    change: Callable[[], Json],
    *,
    run: str = "compute.network",
    args: Json | None = None,
) -> Json:
    """Change the store and start the operation, in one transaction; return the answer to the call.

    `change` returns the resource; `run` is the operation's step. A known `requestId` returns the same operation again.
    """
    cloud, parts = call.cloud, name.split("/")
    scope = "/".join(parts[2:4]) if len(parts) > 4 and parts[2] in ("regions", "zones") else "global"
    project, method = call.project or "", call.method.id if call.method else run
    request_id = call.params.get("requestId")
    if request_id is not None and (not re.fullmatch(r"[0-9a-fA-F-]{36}", request_id) or not request_id.strip("0-")):
        raise invalid("requestId", request_id, "Must be a non-zero UUID.")
    with cloud.store.transaction():
        if request_id:
            for old in cloud.operations.list("compute", project):
                if old["requestId"] == request_id and old["target"] == name:
                    return as_compute(old)
        document = change()
        started = cloud.operations.start(
            run, {"name": name} | (args or {}), service="compute", project=project, verb=verb, target=name,
            scope=scope, target_id=document.get("id"), user=call.caller.email, request_id=request_id,
            method=method, name=_operation_name(),
        )  # fmt: skip
    return as_compute(started)


def _operation_name() -> str:
    random = uuid.uuid4().hex
    return f"operation-{int(time.time() * 1000)}-{random[:13]}-{random[-8:]}"


def new_labels(call: Call, kind: str) -> Callable[[Json], Json]:
    """Return the change of setLabels for any kind: checks the labels' fingerprint and replaces the labels."""
    labels = call.body.get("labels") or {}
    check_labels(labels)

    def change(document: Json) -> Json:
        resources(call.cloud, kind).check_fingerprints(document, call.body, "labelFingerprint")
        return document | {"labels": labels}

    return change


def failed(call: Call, name: str, code: str, message: str) -> Json:
    """Return a failed operation: Google makes some refusals in the operation only."""
    return operation(call, "insert", name, dict, run="compute.fail", args={"code": code, "message": message})


@step("compute.fail")
def _fail(work: Work) -> None:
    raise ApiError(400, work.args["code"], work.args["message"])


def ready(cloud: Cloud, name: str) -> None:
    """Raise 400 resourceNotReady while the resource is being created or deleted."""
    if any(o["verb"] in ("insert", "delete") for o in cloud.operations.pending(name)):
        raise ApiError(400, "resourceNotReady", f"The resource '{name}' is not ready")


# -- lists


def chosen(call: Call, items: Iterable[Json]) -> list[Json]:
    """Return the items that match the call's `filter`, sorted by its `orderBy`."""
    found = list(items)
    text = call.params.get("filter")
    if text:
        try:
            passes = compile_filter(text)
        except FilterError as error:
            raise invalid("filter", text, f"Invalid list filter expression. {error}") from error
        found = [item for item in found if passes(item)]
    order = call.params.get("orderBy") or "name"
    if order == "creationTimestamp desc":
        return sorted(
            found, key=lambda item: str(item.get("creationTimestamp") or item.get("insertTime")), reverse=True
        )
    if order != "name":
        raise invalid("orderBy", order, "Only 'name' and 'creationTimestamp desc' are supported.")
    return found


def listed(call: Call, kind: str, items: Iterable[Json]) -> Json:
    """Return the answer of a list method; `kind` is `compute#networkList`."""
    answer: Json = {"kind": kind, "id": f"projects/{call.project}/{last(call.request.url.path)}"}
    answer["selfLink"] = link(re.sub(r".*/compute/v1/", "", call.request.url.path))
    return answer | call.listing("items", chosen(call, items), size="maxResults", default=500)


def aggregated(call: Call, kind: str, key: str, items: Iterable[Json], scopes: Iterable[str]) -> Json:
    """Return the answer of an aggregatedList method. It has every scope; an empty scope has a warning."""
    page, token = call.page(chosen(call, items), size="maxResults", default=500)
    groups: dict[str, Json] = {}
    for item in page:
        groups.setdefault(_scope_in(item["selfLink"]), {key: []})[key].append(item)
    for scope in scopes:
        if scope not in groups:
            message = f"There are no results for scope '{scope}' on this page."
            data = [{"key": "scope", "value": scope}]
            groups[scope] = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": message, "data": data}}
    answer: Json = {"kind": kind, "id": f"projects/{call.project}/aggregated/{key}", "items": groups}
    answer["selfLink"] = link(f"projects/{call.project}/aggregated/{key}")
    if token:
        answer["nextPageToken"] = token
    return answer


def _scope_in(self_link: str) -> str:
    for kind in ("zones", "regions"):
        if f"/{kind}/" in self_link:
            return f"{kind}/{part(self_link, kind)}"
    return "global"
