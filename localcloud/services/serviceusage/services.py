# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Service Usage: the enabled APIs of a project."""

from __future__ import annotations

import functools
import re

from localcloud.core import contract
from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Work, step
from localcloud.framework.operations import as_longrunning
from localcloud.framework.service import Call, Json
from localcloud.services.serviceusage.api import api, beta

# APIs without a discovery document of their own name.
_OTHERS = {
    "cloudapis.googleapis.com": "Google Cloud APIs",
    "servicemanagement.googleapis.com": "Service Management API",
    "sql-component.googleapis.com": "Cloud SQL",
    "storage-api.googleapis.com": "Google Cloud Storage JSON API",
    "storage-component.googleapis.com": "Cloud Storage",
}
# Enabling one of these APIs enables the others.
_COME_WITH = {
    "compute.googleapis.com": ("oslogin.googleapis.com",),
    "iam.googleapis.com": ("iamcredentials.googleapis.com",),
}
_METADATA = "type.googleapis.com/google.api.serviceusage.v1.OperationMetadata"
_V1 = "type.googleapis.com/google.api.serviceusage.v1."


@functools.cache
def _catalogue() -> frozenset[str]:
    """Return the hosts of all APIs."""
    return frozenset(f"{name}.googleapis.com" for name in contract.names()) | _OTHERS.keys()


def _title(host: str) -> str:
    return _OTHERS.get(host) or contract.title(host.partition(".")[0])


def _shown(call: Call, host: str) -> Json:
    number = call.cloud.projects.number_of(call.project or "")
    return _document(number, host, enabled=call.cloud.projects.enabled(call.project or "", host))


def _document(number: str, host: str, *, enabled: bool) -> Json:
    return {
        "name": f"projects/{number}/services/{host}",
        "parent": f"projects/{number}",
        "config": {"name": host, "title": _title(host), "documentation": {}, "quota": {}, "authentication": {}},
        "state": "ENABLED" if enabled else "DISABLED",
    }


def _known(hosts: list[str]) -> None:
    unknown = [h for h in hosts if h not in _catalogue()]
    if unknown:
        raise ApiError(403, None, f"Not found or permission denied for service(s): {', '.join(unknown)}.")


def _host(call: Call) -> str:
    host = str(call.params["name"]).rsplit("/", 1)[1]
    _known([host])
    return host


@api.method("serviceusage.services.list", permission="serviceusage.services.list")
def list_services(call: Call) -> Json:
    """Return all services, or with `filter=state:ENABLED` or `state:DISABLED` a part of them."""
    wanted = call.params.get("filter", "")
    found = re.fullmatch(r"\s*state\s*[:=]\s*(ENABLED|DISABLED)\s*", wanted)
    if wanted and not found:
        raise ApiError(400, None, f"Invalid filter: {wanted}")
    enabled = set(call.cloud.projects.enabled_services(call.project or ""))
    hosts = sorted(_catalogue())
    if found:
        hosts = [h for h in hosts if (h in enabled) is (found[1] == "ENABLED")]
    if int(call.params.get("pageSize", 0)) > 200:
        raise ApiError(400, None, "pageSize must not be greater than 200.")
    page, token = call.page(hosts, default=50)
    answer: Json = {"services": [_shown(call, h) for h in page]} if page else {}
    return answer | ({"nextPageToken": token} if token else {})


@api.method("serviceusage.services.get", permission="serviceusage.services.get")
def get(call: Call) -> Json:
    """Return one service."""
    return _shown(call, _host(call))


@api.method("serviceusage.services.batchGet", permission="serviceusage.services.get")
def batch_get(call: Call) -> Json:
    """Return several services, by name."""
    hosts = [str(name).rsplit("/", 1)[1] for name in call.params.get("names", [])]
    _known(hosts)
    return {"services": [_shown(call, h) for h in hosts]}


def _start(call: Call, verb: str, hosts: list[str], kind: str) -> Json:
    project = call.project or ""
    number = call.cloud.projects.number_of(project)
    enable = verb != "disable"
    if all(call.cloud.projects.enabled(project, h) is enable for h in hosts):
        # Without a change, Google answers at once with a finished operation.
        operation: Json = {"name": "operations/noop.DONE_OPERATION", "done": True}
        services = [_document(number, h, enabled=enable) for h in hosts]
        return operation | {"response": _response(kind, services)}
    if any(set(hosts) & set(running["args"].get("hosts", ())) for running in _running(call, project)):
        message = "Another activation or deactivation is in progress for the following service(s): "
        raise ApiError(400, "FAILED_PRECONDITION", message + ", ".join(hosts))
    names = [f"projects/{number}/services/{h}" for h in hosts]
    started = call.cloud.operations.start(
        "serviceusage.switch",
        {"project": project, "number": number, "hosts": hosts, "enable": enable, "kind": kind},
        service="serviceusage",
        project=project,
        verb=verb,
        target=f"projects/{project}",
        user=call.caller.email,
        metadata={"@type": _METADATA, "resourceNames": names},
        method=f"serviceusage.services.{verb}",
    )
    return as_longrunning(started, _prefix(number))


def _running(call: Call, project: str) -> list[Json]:
    """Return the unfinished activations; none if an activation takes no time in the profile."""
    if not call.cloud.profiles.duration(project, "serviceusage.services.batchEnable"):
        return []
    return [each for each in call.cloud.operations.pending(f"projects/{project}") if each["service"] == api.name]


def _prefix(number: str) -> str:
    return f"operations/acat.p2-{number}-"


def _response(kind: str, services: list[Json]) -> Json:
    answer: Json = {"@type": f"{_V1}{kind}"}
    return answer | ({"services": services} if kind.startswith("Batch") else {"service": services[0]})


@step("serviceusage.switch")
def switch(work: Work) -> Json:
    """Enable or disable APIs."""
    project, hosts = work.args["project"], list(work.args["hosts"])
    with work.cloud.store.transaction():
        for host in hosts:
            if work.args["enable"]:
                for each in (host, *_COME_WITH.get(host, ())):
                    work.cloud.activate(project, each)
            else:
                work.cloud.projects.disable(project, host)
    services = [_document(work.args["number"], h, enabled=work.args["enable"]) for h in hosts]
    return _response(work.args["kind"], services)


@api.method("serviceusage.services.enable", permission="serviceusage.services.enable")
def enable(call: Call) -> Json:
    """Enable one service."""
    return _start(call, "enable", [_host(call)], "EnableServiceResponse")


@api.method("serviceusage.services.batchEnable", permission="serviceusage.services.enable")
def batch_enable(call: Call) -> Json:
    """Enable up to twenty services."""
    hosts = list(call.body.get("serviceIds") or [])
    if not 1 <= len(hosts) <= 20:
        raise ApiError(400, None, "A request must contain between 1 and 20 service ids.")
    _known(hosts)
    return _start(call, "batchEnable", hosts, "BatchEnableServicesResponse")


@api.method("serviceusage.services.disable", permission="serviceusage.services.disable")
def disable(call: Call) -> Json:
    """Disable one service."""
    return _start(call, "disable", [_host(call)], "DisableServiceResponse")


@beta.method("serviceusage.operations.get", permission=None)
@api.method("serviceusage.operations.get", permission=None)
def get_operation(call: Call) -> Json:
    """Return an operation to callers that may see the project's services."""
    name = str(call.params["name"])
    if name == "operations/noop.DONE_OPERATION":
        return {"name": name, "done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}}
    operation = call.cloud.operations.get(name[-36:])
    if operation is None or operation["service"] != api.name:
        raise ApiError(404, None, f"Operation {name} not found.")
    call.require("serviceusage.services.get", project=operation["project"])
    return as_longrunning(operation, _prefix(call.cloud.projects.number_of(operation["project"])))
