# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a service: a table of contract method → handler, and the handler's argument `Call`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from localcloud import contract
from localcloud.contract import Method
from localcloud.errors import ApiError

if TYPE_CHECKING:
    from localcloud.auth import Principal
    from localcloud.cloud import Cloud

Json = dict[str, Any]
Handler = Callable[["Call"], "Json | Response | None"]
RawHandler = Callable[["Call"], "Json | Response"]


@dataclass
class Call:
    """One request, as passed to a handler."""

    cloud: Cloud
    request: Request
    service: Service
    method: Method | None
    params: Json
    body: Json
    caller: Principal
    media: IO[bytes]
    """The raw body as a file object, for upload paths and raw routes. For other calls, `body` has the body."""
    upload: bool = False

    @property
    def query(self) -> Mapping[str, str]:
        """Return the raw query, including standard parameters such as `alt` and `uploadType`."""
        return self.request.query_params

    @property
    def project(self) -> str | None:
        """Return the id of the project in the path; a project number is translated."""
        for name in ("project", "projectId"):
            if isinstance(self.params.get(name), str):
                return self.cloud.projects.id_of(self.params[name])
        for name in ("parent", "name", "resource", "projectsId"):
            value = self.params.get(name)
            found = re.match(r"projects/([^/:]+)", value) if isinstance(value, str) else None
            if found and found[1] not in ("-", "_"):
                return self.cloud.projects.id_of(found[1])
        return None

    @property
    def resource(self) -> str | None:
        """Return the relative name of the resource in the path (`projects/p/secrets/s`), if the API has such names."""
        for name in ("name", "resource", "parent"):
            value = self.params.get(name)
            if isinstance(value, str) and "/" in value:
                return value
        return None

    def allowed(self, permission: str, *, project: str | None = None, resource: str | None = None) -> bool:
        """Return whether the caller holds a permission on the project, or on a resource of this service."""
        return self.cloud.permissions.allowed(
            self.caller, permission, project or self.project, f"//{self.service.host}/{resource}" if resource else None
        )

    def require(self, permission: str, *, project: str | None = None, resource: str | None = None) -> None:
        """Raise 403 unless the caller holds the permission."""
        if not self.allowed(permission, project=project, resource=resource):
            shown = resource or f"projects/{project or self.project}"
            raise denied(self.service, permission, shown)

    def page(self, items: list[Any], *, size: str = "pageSize", default: int = 100) -> tuple[list[Any], str | None]:
        """Return (slice, nextPageToken or None) of a list, by the call's paging parameters."""
        token = str(self.params.get("pageToken") or "0")
        if not token.isdigit():
            raise ApiError(400, None, "The page token is invalid.")
        start = int(token)
        count = int(self.params.get(size) or 0) or default
        following = start + count
        return items[start:following], (str(following) if following < len(items) else None)


def denied(service: Service, permission: str, resource: str) -> ApiError:
    """Return a 403 that names the missing permission, with the service's message."""
    if service.name == "compute":
        return ApiError(403, "forbidden", f"Required '{permission}' permission for '{resource}'")
    if service.name == "storage":
        message = (
            f"The caller does not have {permission} access to the Google Cloud Storage resource. "
            f"Permission '{permission}' denied on resource (or it may not exist)."
        )
        return ApiError(403, "forbidden", message)
    if service.name == "sqladmin":
        message = f"The client is not authorized to make this request. Permission '{permission}' is missing."
        return ApiError(403, "notAuthorized", message)
    if service.name == "cloudresourcemanager" and "v1" in service.versions:
        return ApiError(403, None, "The caller does not have permission")
    from localcloud.errors import error_info

    message = f"Permission '{permission}' denied on resource '//{service.host}/{resource}' (or it may not exist)."
    info = error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=resource)
    return ApiError(403, None, message, [info])


@dataclass(frozen=True)
class Bound:
    """A handler and the checks before it."""

    handler: Handler
    permission: str | None
    resource: Callable[[Call], str | None] | None
    project: Callable[[Call], str | None] | None


@dataclass(frozen=True)
class RawRoute:
    """A path outside the contract (a token endpoint, the XML API of Storage)."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    handler: RawHandler
    anonymous: bool


@dataclass(init=False, eq=False)
class Service:
    """One Google API: `Service("secretmanager", "v1")` is the discovery document's name and version.

    Several versions may share handlers: `Service("sqladmin", "v1beta4", "v1")`. `hosts` are additional host names for
    VMs. `always_on` APIs need not be enabled in the project. `anonymous` APIs accept calls without a token as allUsers.
    With `callers_project`, the caller's project (the quota project of the call, or else the service account's project)
    must have the API enabled, not the resource's project.
    """

    name: str
    versions: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    always_on: bool = False
    anonymous: bool = False
    callers_project: bool = False
    bound: dict[str, Bound] = field(default_factory=dict)
    raw: list[RawRoute] = field(default_factory=list)

    def __init__(
        self,
        name: str,
        *versions: str,
        hosts: tuple[str, ...] = (),
        always_on: bool = False,
        anonymous: bool = False,
        callers_project: bool = False,
    ) -> None:
        self.name = name
        self.versions = versions
        self.hosts = hosts
        self.always_on = always_on
        self.anonymous = anonymous
        self.callers_project = callers_project
        self.bound = {}
        self.raw = []

    @property
    def host(self) -> str:
        """Return the API's host name, which is also its name in Service Usage."""
        return f"{self.name}.googleapis.com"

    def contracts(self) -> Iterator[contract.Contract]:
        """Return the discovery documents of the service's versions."""
        for version in self.versions:
            yield contract.load(self.name, version)

    def method(
        self,
        method_id: str,
        *,
        permission: str | None,
        resource: Callable[[Call], str | None] | None = None,
        project: Callable[[Call], str | None] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Bind a handler to a contract method.

        The caller must have `permission` on the project in the path or on `resource(call)`, by default the name in the
        path; policies of its parents count. With None any valid token is accepted; the handler may call `call.require`.
        """

        def bind(handler: Handler) -> Handler:
            self.bound[method_id] = Bound(handler, permission, resource, project)
            return handler

        return bind

    def route(self, methods: str, pattern: str, *, anonymous: bool = False) -> Callable[[RawHandler], RawHandler]:
        """Bind a handler to a path outside the contract: `methods` is space-separated, `pattern` matches the raw path.

        `call.params` contains the decoded named groups, `call.media` the body. Only the token is checked before.
        """

        def bind(handler: RawHandler) -> RawHandler:
            self.raw.append(RawRoute(frozenset(methods.split()), re.compile(pattern), handler, anonymous))
            return handler

        return bind
