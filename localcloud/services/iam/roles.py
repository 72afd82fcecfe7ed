# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM: predefined roles, custom roles of projects, and the permissions and roles that a resource supports."""

from __future__ import annotations

import re
from typing import Any

from localcloud.access.custom_roles import missing
from localcloud.access.roles import ROLES, holds
from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.iam import permission_names
from localcloud.services.iam.api import api

_ID = "iam.projects.roles."
_ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_FIELDS = frozenset({"title", "description", "stage", "includedPermissions"})
_READ_ONLY = frozenset({"deleted", "etag", "name"})
_LIMITS = {"title": 100, "description": 256}


def _page(call: Call, items: list[Any], default: int, maximum: int) -> tuple[list[Any], str | None]:
    """Return (page, next token). A list has page size and token as parameters, a query has them in its body."""
    given = call.params | call.body
    token, size = str(given.get("pageToken") or "0"), int(given.get("pageSize") or 0)
    if not token.isdigit():
        raise ApiError(400, None, "The page token is invalid.")
    if size < 0:
        raise ApiError(400, None, "The page size must not be negative.")
    start, count = int(token), min(size or default, maximum)
    return items[start : start + count], str(start + count) if start + count < len(items) else None


def _answer(field: str, page: list[Any], token: str | None) -> Json:
    return ({field: page} if page else {}) | ({"nextPageToken": token} if token else {})


# -- predefined roles


def _predefined(name: str, *, full: bool) -> Json:
    title = name.removeprefix("roles/").replace(".", " ").title()
    shown: Json = {"name": name, "title": title, "stage": "GA", "etag": "AA=="}
    if full:
        shown["includedPermissions"] = sorted(p for p in permission_names.known() if holds(name, p))
    return shown


@api.method("iam.roles.get", permission=None)
def get_predefined(call: Call) -> Json:
    """Return a predefined role, with its permissions that the local cloud knows."""
    name = str(call.params["name"])
    if name not in ROLES:
        raise missing(name)
    return _predefined(name, full=True)


@api.method("iam.roles.list", permission=None)
def list_predefined(call: Call) -> Json:
    """Return the predefined roles or, with `parent`, the custom roles of a project."""
    parent = str(call.params.get("parent") or "")
    if parent:
        found = re.fullmatch(r"projects/([^/]+)", parent)
        if found is None:
            raise ApiError(501, None, f"The local cloud has custom roles of projects only, not of {parent}.")
        project = call.cloud.projects.id_of(found[1])
        call.require("iam.roles.list", project=project)
        return _list_custom(call, project)
    page, token = _page(call, sorted(ROLES), 300, 1000)
    return _answer("roles", [_predefined(n, full=call.params.get("view") == "FULL") for n in page], token)


# -- custom roles


def _name(call: Call) -> str:
    _, project, rest = str(call.params["name"]).split("/", 2)
    return f"projects/{call.cloud.projects.id_of(project)}/{rest}"


def _shown(role: Json, *, full: bool = True) -> Json:
    hidden = {"deleteSeconds"} if full else {"deleteSeconds", "includedPermissions"}
    # Google omits the stage ALPHA and empty fields.
    return {k: v for k, v in role.items() if k not in hidden and v not in ("", []) and (k, v) != ("stage", "ALPHA")}


def _checked(fields: Json) -> Json:
    """Return the fields of a role from a request's body; 400 for values that Google refuses."""
    for field, limit in _LIMITS.items():
        if len((fields.get(field) or "").encode()) > limit:
            raise ApiError(400, None, f"The role {field} must not be longer than {limit} bytes.")
    for permission in fields.get("includedPermissions") or ():
        if not permission_names.supported(permission):
            raise ApiError(400, None, f"Permission {permission} is not valid.")
    checked: Json = {}
    for field in ("title", "description", "stage"):
        if field in fields:
            checked[field] = fields[field] or ("ALPHA" if field == "stage" else "")
    if "includedPermissions" in fields:
        checked["includedPermissions"] = sorted(set(fields["includedPermissions"] or ()))
    return checked


@api.method(_ID + "create", permission="iam.roles.create")
def create(call: Call) -> Json:
    """Create a custom role in the project."""
    role_id, role = call.body.get("roleId") or "", call.body.get("role") or {}
    if not _ROLE_ID.fullmatch(role_id):
        raise ApiError(400, None, f"The role_id ({role_id}) must match the pattern [a-zA-Z0-9_.]{{3,64}}.")
    if role.get("name"):
        raise ApiError(400, None, "The name of the role must not be set: Google derives it from parent and role_id.")
    fields = {"stage": "ALPHA"} | {k: v for k, v in role.items() if k in _FIELDS}
    name = f"projects/{call.project}/roles/{role_id}"
    return _shown(call.cloud.custom_roles.create(name, _checked(fields)))


@api.method(_ID + "get", permission="iam.roles.get")
def get(call: Call) -> Json:
    """Return one custom role, including a deleted role that can be restored."""
    role = call.cloud.custom_roles.find(_name(call))
    if role is None:
        raise missing(_name(call))
    return _shown(role)


@api.method(_ID + "list", permission="iam.roles.list")
def list_roles(call: Call) -> Json:
    """Return the custom roles of the project."""
    return _list_custom(call, call.project or "")


def _list_custom(call: Call, project: str) -> Json:
    roles = [
        role
        for role in call.cloud.custom_roles.list(f"projects/{project}")
        if call.params.get("showDeleted") or not role.get("deleted")
    ]
    page, token = _page(call, roles, 300, 1000)
    return _answer("roles", [_shown(role, full=call.params.get("view") == "FULL") for role in page], token)


@api.method(_ID + "patch", permission="iam.roles.update")
def patch(call: Call) -> Json:
    """Change the fields in `updateMask`; without a mask, the fields of the body."""
    name, body = _name(call), call.body
    if body.get("name") not in (None, "", name, call.params["name"]):
        raise ApiError(400, None, f"The name of a role cannot be changed: {body['name']} is not {name}.")
    mask = [f.strip() for f in str(call.params.get("updateMask") or "").split(",") if f.strip()]
    unknown = [f for f in mask if f not in _FIELDS and f not in _READ_ONLY]
    if unknown:
        raise ApiError(400, None, f"The update mask names unknown fields: {', '.join(unknown)}.")
    changed = set(mask or body) & _FIELDS
    fields = _checked({field: body.get(field) for field in changed})

    def change(role: Json) -> Json:
        if role.get("deleted"):
            raise ApiError(400, "FAILED_PRECONDITION", f"The role {name} is in a deleted state and cannot be changed.")
        return role | fields

    return _shown(call.cloud.custom_roles.change(name, body.get("etag"), change))


@api.method(_ID + "delete", permission="iam.roles.delete")
def delete(call: Call) -> Json:
    """Mark the role as deleted; it can be restored for seven days."""
    return _shown(call.cloud.custom_roles.delete(_name(call), call.params.get("etag")))


@api.method(_ID + "undelete", permission="iam.roles.undelete")
def undelete(call: Call) -> Json:
    """Restore a deleted role."""
    return _shown(call.cloud.custom_roles.undelete(_name(call), call.body.get("etag")))


# -- queries


def _resource(call: Call) -> tuple[str, str]:
    """Return (service, project) of the body's `fullResourceName`; the project is empty for a bucket."""
    given = str(call.body.get("fullResourceName") or "")
    # gcloud derives the name from the API's endpoint: //127.0.0.1:8787/cloudresourcemanager/projects/P.
    endpoint = call.cloud.settings.url.partition(":")[2] + "/"
    if given.startswith(endpoint):
        given = "//" + given.removeprefix(endpoint).replace("/", ".googleapis.com/", 1)
    found = re.fullmatch(r"//([a-z]+)\.googleapis\.com/(.+)", given)
    if found is None:
        raise ApiError(400, None, f"Invalid full resource name: '{given}'.")
    service, name = found.groups()
    if name.startswith(("organizations/", "folders/")):
        raise ApiError(501, None, f"The local cloud has no organizations and no folders: {given}.")
    named = re.match(r"projects/([^/]+)", name)
    project = call.cloud.projects.id_of(named[1]) if named else ""
    if project not in ("", "_", "-"):
        call.require("resourcemanager.projects.get", project=project)
    return service, project


def _of(service: str, name: str) -> bool:
    """Return whether a permission applies to the resources of a service. A project's resource has all permissions."""
    return service == "cloudresourcemanager" or permission_names.host(name) == f"{service}.googleapis.com"


@api.method("iam.permissions.queryTestablePermissions", permission=None)
def query_testable_permissions(call: Call) -> Json:
    """Return the permissions that can be tested on a resource."""
    service, project = _resource(call)
    names = sorted(p for p in permission_names.known() if _of(service, p))
    page, token = _page(call, names, 100, 1000)
    enabled = set(call.cloud.projects.enabled_services(project)) if project else None
    return _answer("permissions", [_permission(name, enabled) for name in page], token)


def _permission(name: str, enabled: set[str] | None) -> Json:
    shown: Json = {"name": name, "stage": "GA"}
    if name in permission_names.NOT_SUPPORTED:
        shown["customRolesSupportLevel"] = "NOT_SUPPORTED"
    # These two APIs serve every project.
    always = ("serviceusage.googleapis.com", "iap.googleapis.com")
    if enabled is not None and permission_names.host(name) not in enabled | set(always):
        shown["apiDisabled"] = True
    return shown


@api.method("iam.roles.queryGrantableRoles", permission=None)
def query_grantable_roles(call: Call) -> Json:
    """Return the roles that can be granted on a resource."""
    service, project = _resource(call)
    full = call.body.get("view") == "FULL"
    names = [n for n in sorted(ROLES) if _grantable(service, n)]
    custom = [r for r in call.cloud.custom_roles.list(f"projects/{project}") if not r.get("deleted")]
    roles = [_predefined(name, full=full) for name in names] + [_shown(role, full=full) for role in custom]
    page, token = _page(call, roles, 300, 3000)
    return _answer("roles", page, token)


def _grantable(service: str, role: str) -> bool:
    legacy = role.startswith("roles/storage.legacy")
    if service == "cloudresourcemanager":
        return not legacy
    basic = role in ("roles/owner", "roles/editor", "roles/viewer")
    return _of(service, role.removeprefix("roles/")) or (basic and service != "storage")
