# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a service: a table of contract method → handler, and the handler's argument `Call`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import Response

from localcloud.access.auth import Principal
from localcloud.access.refusals import Refusals
from localcloud.core import contract
from localcloud.core.contract import Method
from localcloud.core.errors import ApiError, Dialect
from localcloud.engine.base import ZoneLookup
from localcloud.framework.cloud import Cloud
from localcloud.metadata.directory import InstanceDirectory

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
            raise self.service.denied(permission, shown)

    def page(self, items: list[Any], *, size: str = "pageSize", default: int = 100) -> tuple[list[Any], str | None]:
        """Return (slice, nextPageToken or None) of a list, by the call's paging parameters."""
        token = str(self.params.get("pageToken") or "0")
        if not token.isdigit():
            raise ApiError(400, None, "The page token is invalid.")
        start = int(token)
        count = int(self.params.get(size) or 0) or default
        following = start + count
        return items[start:following], (str(following) if following < len(items) else None)

    def listing(self, key: str, items: list[Any], **paging: Any) -> Json:
        """Return a page of a list as an answer. Google leaves out an empty list and the token of a last page."""
        page, token = self.page(items, **paging)
        return ({key: page} if page else {}) | ({"nextPageToken": token} if token else {})


@dataclass(frozen=True)
class Bound:
    """A handler and the checks before it."""

    handler: Handler
    permission: str | None
    resource: Callable[[Call], str | None] | None
    project: Callable[[Call], str | None] | None


@dataclass(frozen=True)
class RawRoute:
    """A path outside the contract: a token endpoint, a batch, an admin request."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    handler: RawHandler
    anonymous: bool = False
    fallback: bool = False
    """Whether the route is for paths that no other route and no contract has. A name before the API's host name is the
    first segment of the path."""
    refuse: Callable[[ApiError], Response] | None = None
    """Returns the answer to a refused request, if it has not the form of the service's errors."""


@dataclass(eq=False)
class Service:
    """One Google API: `Service("secretmanager", ("v1",))` has the names of discovery documents and their versions.

    Versions of one service share handlers. The options carry all differences between
    services, so that no other part names a service.
    """

    name: str
    versions: tuple[str, ...] = ()
    _: KW_ONLY
    hosts: tuple[str, ...] = ()
    """Additional host names, for VMs."""
    subdomains: bool = False
    """Whether the API also answers at `NAME.HOST`."""
    rooted: bool = False
    """Whether the API also has its paths without the API's name: some settings of clients replace only the host."""
    admin: bool = False
    """Whether the requests control the local cloud: only from the control node, never logged, no faults."""
    always_on: bool = False
    """Whether a project can use the API without enabling it."""
    anonymous: bool = False
    """Whether a call without a token is a call of allUsers."""
    callers_project: bool = False
    """Whether the caller's project must have the API enabled, not the resource's project.

    The caller's project is the quota project of the call, or else the service account's project.
    """
    enabled_for_users: bool = False
    """Whether users without a quota project can use the API."""
    scopes: frozenset[str] = frozenset()
    """The OAuth scopes that all methods accept besides the scopes in the discovery document."""
    dialect: Dialect = Dialect.STATUS
    """The form of the errors."""
    refusals: Refusals = field(default_factory=Refusals)
    """The texts of the refusals."""
    initial_apis: tuple[str, ...] = ()
    """The hosts of this API, and of related APIs, that a new project has enabled."""
    conditions_by_number: bool = False
    """Whether IAM conditions on the resources name the project by its number."""
    resource_types: Mapping[str, str] = field(default_factory=dict)
    """The `resource.type` in IAM conditions, by collection in the resource's name."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Approximate seconds that an operation takes at Google, by pattern over methods; the first match counts."""
    constraints: Mapping[str, bool | None] = field(default_factory=dict)
    """The constraints of organization policies: the default of a boolean constraint, None for a list constraint."""
    directory: Callable[[Cloud], InstanceDirectory] | None = field(default=None, init=False)
    """Returns the VM instances of a cloud, for the metadata server and the name server. Set by the service of VMs."""
    hosted_zones: Callable[[Cloud], ZoneLookup] | None = field(default=None, init=False)
    """Returns the lookup of hosted zones of a cloud, for the name server. Set by the service of DNS zones."""
    bound: dict[str, Bound] = field(default_factory=dict, init=False)
    raw: list[RawRoute] = field(default_factory=list, init=False)

    @property
    def host(self) -> str:
        """Return the API's host name, which is also its name in Service Usage."""
        return f"{self.name}.googleapis.com"

    def contracts(self) -> Iterator[contract.Contract]:
        """Return the discovery documents of the service's versions."""
        for version in self.versions:
            yield contract.load(self.name, version)

    def denied(self, permission: str, resource: str) -> ApiError:
        """Return a 403 that names the missing permission, with the service's message."""
        return self.refusals.denied(self.host, permission, resource)

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

    def route(self, methods: str, pattern: str, **options: Any) -> Callable[[RawHandler], RawHandler]:
        """Bind a handler to a path outside the contract: `methods` is space-separated, `pattern` matches the raw path.

        `call.params` contains the decoded named groups, `call.media` the body. Only the token is checked before. The
        options are the fields of `RawRoute`.
        """

        def bind(handler: RawHandler) -> RawHandler:
            self.raw.append(RawRoute(frozenset(methods.split()), re.compile(pattern), handler, **options))
            return handler

        return bind
