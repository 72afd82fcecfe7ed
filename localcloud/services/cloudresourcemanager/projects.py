# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Resource Manager: projects and their IAM policies, as v1 and v3 show them."""

from __future__ import annotations

import re
from collections.abc import Callable

from localcloud.access.permissions import project_resource
from localcloud.core.errors import ApiError
from localcloud.core.store import AlreadyExists
from localcloud.framework.cloud import Work, step
from localcloud.framework.lifecycle import fingerprint
from localcloud.framework.operations import as_longrunning
from localcloud.framework.service import Call, Json, Service
from localcloud.services.cloudresourcemanager.api import v1, v3

_ID = "cloudresourcemanager.projects."
_PACKAGE = {
    "v1": "type.googleapis.com/google.cloudresourcemanager.v1",
    "v3": "type.googleapis.com/google.cloud.resourcemanager.v3",
}


def _named(call: Call) -> str | None:
    """Return the project in a v1 path (`{resource}`: an id) or a v3 path (`projects/ID`)."""
    for name in ("projectId", "resource", "name"):
        if name in call.params:
            return call.cloud.projects.id_of(str(call.params[name]).removeprefix("projects/"))
    return None


def _place(call: Call) -> str:
    return f"projects/{_named(call)}"


def _document(call: Call) -> Json:
    # A permission on a project implies that the project exists.
    return call.cloud.projects.existing(_named(call) or "")


def _v3(project: Json) -> Json:
    shown: Json = {
        "name": f"projects/{project['projectNumber']}",
        "projectId": project["projectId"],
        "displayName": project["name"],
        "state": project["lifecycleState"],
        "createTime": project["createTime"],
        "updateTime": project.get("updateTime", project["createTime"]),
        "etag": f'W/"{fingerprint(project)}"',
    }
    if project.get("labels"):
        shown["labels"] = project["labels"]
    if project.get("parent"):
        shown["parent"] = f"{project['parent']['type']}s/{project['parent']['id']}"
    return shown


def _v1(project: Json) -> Json:
    return {k: v for k, v in project.items() if k != "updateTime"}


_SHOW: dict[Service, Callable[[Json], Json]] = {v1: _v1, v3: _v3}


def _both(method: str, permission: str | None) -> Callable[[Callable[[Call], Json]], Callable[[Call], Json]]:
    def bind(handler: Callable[[Call], Json]) -> Callable[[Call], Json]:
        for service in (v1, v3):
            service.method(_ID + method, permission=permission, project=_named, resource=_place)(handler)
        return handler

    return bind


@_both("get", "resourcemanager.projects.get")
def get(call: Call) -> Json:
    """Return one project."""
    return _SHOW[call.service](_document(call))


@_both("getIamPolicy", "resourcemanager.projects.getIamPolicy")
def get_policy(call: Call) -> Json:
    """Return the project's policy. Conditions are included for callers of version 3 only."""
    version = int((call.body.get("options") or {}).get("requestedPolicyVersion") or 1)
    return call.cloud.permissions.policy(project_resource(_named(call) or ""), version)


@_both("setIamPolicy", "resourcemanager.projects.setIamPolicy")
def set_policy(call: Call) -> Json:
    """Replace the project's policy. A project must keep an owner."""
    policy = call.body.get("policy") or {}
    owners = [m for b in policy.get("bindings") or () if b.get("role") == "roles/owner" for m in b.get("members") or ()]
    if not owners:
        raise ApiError(
            400, None, "Policy must have at least one owner: solo owner constraint (ORG_MUST_INVITE_EXTERNAL_OWNERS)."
        )
    resource = project_resource(_named(call) or "")
    return call.cloud.permissions.set_policy(resource, policy, mask=call.body.get("updateMask"))


def _visible(call: Call) -> list[Json]:
    return [
        p
        for p in call.cloud.projects.documents.list()
        if call.cloud.permissions.allowed(call.caller, "resourcemanager.projects.get", p["projectId"])
    ]


@v1.method(_ID + "list", permission=None)
def list_projects(call: Call) -> Json:
    """Return the projects that the caller may see."""
    projects = [p for p in _visible(call) if _passes(p, call.params.get("filter", ""))]
    return _paged(call, [_v1(p) for p in projects])


@v3.method(_ID + "list", permission=None)
def list_below(call: Call) -> Json:
    """Return the projects directly below a parent."""
    parent = call.params.get("parent", "")
    if not re.fullmatch(r"(folders|organizations)/\d+", parent):
        raise ApiError(400, None, "The parent is required and must be folders/… or organizations/….")
    return _paged(call, [_v3(p) for p in _visible(call) if _v3(p).get("parent") == parent])


def _paged(call: Call, projects: list[Json]) -> Json:
    return call.listing("projects", projects)


def _passes(project: Json, text: str) -> bool:
    aliases = {"id": "projectId", "state": "lifecycleState", "displayName": "name"}
    for term in filter(None, re.split(r"\s+(?:AND\s+)?", text.strip(), flags=re.IGNORECASE)):
        found = re.fullmatch(r"(labels\.)?([\w-]+)[:=]\"?([^\"]*)\"?", term)
        if not found:
            raise ApiError(400, None, f"Invalid filter: {term}")
        labels, field, wanted = found.groups()
        value = (project.get("labels") or {}).get(field) if labels else project.get(aliases.get(field, field))
        if value is None or not re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), str(value), re.IGNORECASE):
            return False
    return True


# -- creating, changing, deleting

_METADATA = {"v1": "ProjectCreationStatus", "v3": "CreateProjectMetadata"}


def _create(call: Call, kind: str) -> Json:
    account = call.cloud.accounts.get(call.caller.email) or {}
    call.require("resourcemanager.projects.create", project=account.get("projectId", "-"))
    project = call.body.get("projectId") or ""
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        raise ApiError(400, None, "project_id contains invalid characters or has a wrong length.")
    parent = call.body.get("parent")
    if isinstance(parent, str):
        holder, _, number = parent.partition("/")
        parent = {"type": holder.removesuffix("s"), "id": number}
    with call.cloud.store.transaction():
        number = str(call.cloud.store.next_number("project.number", 100_000_000_002))
        name = call.body.get("name") if call.service is v1 else call.body.get("displayName")
        try:
            call.cloud.projects.add(
                project, number, name or project, call.cloud.clock.now(), call.body.get("labels") or {}, parent
            )
        except AlreadyExists:
            raise ApiError(409, None, "Requested entity already exists") from None
        binding = {"role": "roles/owner", "members": [call.caller.member]}
        call.cloud.permissions.set_policy(project_resource(project), {"bindings": [binding]})
        started = call.cloud.operations.start(
            "cloudresourcemanager.projects.create",
            {"project": project, "kind": kind},
            service="cloudresourcemanager",
            project=project,
            verb="create",
            target=f"projects/{project}",
            user=call.caller.email,
            metadata={"@type": f"{_PACKAGE[kind]}.{_METADATA[kind]}", "createTime": call.cloud.clock.now()},
        )
    return as_longrunning(started, "operations/cp.")


@v1.method(_ID + "create", permission=None)
def create_v1(call: Call) -> Json:
    """Create a project; the caller becomes its owner. The answer has only the operation's name."""
    return {"name": _create(call, "v1")["name"]}


@v3.method(_ID + "create", permission=None)
def create_v3(call: Call) -> Json:
    """Create a project; the caller becomes its owner."""
    return _create(call, "v3")


@step("cloudresourcemanager.projects.create")
def created(work: Work) -> Json:
    """Return the new project."""
    project = work.cloud.projects.existing(work.args["project"])
    show = _v1 if work.args["kind"] == "v1" else _v3
    return {"@type": f"{_PACKAGE[work.args['kind']]}.Project", **show(project)}


def _operation(call: Call) -> Json:
    name = str(call.params["name"])
    operation = call.cloud.operations.get(name[-36:])
    if operation is None or operation["service"] != "cloudresourcemanager":
        raise ApiError(404, None, f"Operation {name} not found.")
    call.require("resourcemanager.projects.get", project=operation["project"])
    shown = as_longrunning(operation, "operations/cp.")
    if shown["metadata"]["@type"].endswith(_METADATA["v1"]):
        shown["metadata"] |= {"gettable": True, "ready": "done" in shown}
    return shown


for _service in (v1, v3):
    _service.method("cloudresourcemanager.operations.get", permission=None)(_operation)
