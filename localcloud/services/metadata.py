# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The metadata server at 169.254.169.254, as an ASGI application.

It identifies a VM by its source address, asks an :class:`InstanceDirectory` for the instance, and answers as Compute
Engine does: plain text for leaves, listings for directories, JSON with ``recursive=true`` or ``alt=json``, ``ETag`` and
``wait_for_change``, guest attributes, and tokens of the VM's service account.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
_ROOT = "/computeMetadata/v1"
_TOKEN_MARGIN = 300
"""A token with fewer remaining seconds is not handed out."""
_RECHECK_SECONDS = 5.0
"""A waiting request checks for changes at this interval, even without a notification."""
_GUEST_ATTRIBUTE_BYTES = 256 * 1024


class InstanceDirectory(Protocol):
    """The data source of the metadata server; the Compute service implements it over the store."""

    def by_internal_ip(self, ip: str) -> Json | None:
        """Return the instance resource with this address, as the Compute API returns it.

        Its ``selfLink`` names project and zone.
        """

    def project(self, project_id: str) -> Json:
        """Return the project's ``projectId``, ``numericProjectId`` and ``attributes`` (common metadata, a dict)."""

    def guest_attributes(self, instance: Json) -> dict[str, dict[str, str]]:
        """Return the instance's guest attributes: namespace → key → value."""

    def put_guest_attribute(self, instance: Json, namespace: str, key: str, value: str) -> None:
        """Set one guest attribute."""

    def delete_guest_attribute(self, instance: Json, namespace: str, key: str) -> None:
        """Remove one guest attribute, if it exists."""

    def address_of(self, name: str) -> str | None:
        """Return the internal address of ``NAME.ZONE.c.PROJECT.internal`` for the name server, or None."""


class IssuedToken(Protocol):
    """An access token and its lifetime in seconds."""

    @property
    def token(self) -> str:
        """Return the bearer token."""

    @property
    def expires_in(self) -> int:
        """Return the lifetime in seconds from creation."""


class TokenIssuer(Protocol):
    """Issues tokens; implemented by :class:`localcloud.auth.Auth`."""

    def issue_access_token(self, email: str, scopes: list[str], lifetime: int = ...) -> IssuedToken:
        """Return a new access token of a service account."""

    def issue_id_token(self, email: str, audience: str, *, include_email: bool = ..., extra: Json | None = ...) -> str:
        """Return a new ID token of a service account for an audience."""


class Changes:
    """Wakes the requests that wait for a change. ``notify`` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.closed = False

    def notify(self) -> None:
        """Report that the metadata of an instance or project may have changed."""
        for event, loop in list(self._waiting.items()):
            loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Wake all waiting requests: there are no further changes."""
        self.closed = True
        self.notify()

    async def wait(self, seconds: float) -> None:
        """Return at the next notify, or after ``seconds``."""
        event = asyncio.Event()
        self._waiting[event] = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(event, None)


CHANGES = Changes()
"""The changes of this process. Call ``CHANGES.notify()`` after a change of metadata."""


class MetadataServer:
    """Answers VMs. ``app`` is the ASGI application; ``changes.notify()`` wakes waiting guest agents."""

    def __init__(self, directory: InstanceDirectory, tokens: TokenIssuer, changes: Changes | None = None) -> None:
        self._directory = directory
        self._tokens = tokens
        self.changes = changes or Changes()
        self._cache: dict[tuple[str, tuple[str, ...]], tuple[str, float]] = {}
        self.app = Starlette(
            routes=[Route("/{path:path}", self._handle, methods=["GET", "HEAD", "PUT", "DELETE", "POST"])]
        )

    async def _handle(self, request: Request) -> Response:
        response = await self._answer(request)
        response.headers["Metadata-Flavor"] = "Google"
        response.headers["Server"] = "Metadata Server for VM"
        return response

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == "/":
            return _text("computeMetadata/\n")
        if path.rstrip("/") == "/computeMetadata":
            return _text("v1/\n")
        if not path.startswith(_ROOT):
            return _refuse(404, "The requested URL was not found on this server.")
        if request.headers.get("metadata-flavor", "").lower() != "google":
            return _refuse(403, "Missing required header: Metadata-Flavor: Google")
        if "x-forwarded-for" in request.headers:
            return _refuse(403, "Forwarded requests are not answered.")
        address = request.client.host if request.client else ""
        instance = await to_thread.run_sync(self._directory.by_internal_ip, address)
        if instance is None:
            return _refuse(404, f"No instance has the address {address}.")
        segments = [segment for segment in path.removeprefix(_ROOT).split("/") if segment]
        if segments[:2] == ["instance", "guest-attributes"]:
            return await self._guest_attributes(request, instance, segments[2:])
        if request.method not in ("GET", "HEAD"):
            return _refuse(405, "Only GET is allowed here.")
        of_account = segments[:2] == ["instance", "service-accounts"] and len(segments) == 4
        if of_account and segments[3] in ("token", "identity"):
            return await to_thread.run_sync(self._token, request, instance, segments[2], segments[3])
        return await self._value(request, address, segments)

    async def _value(self, request: Request, address: str, segments: list[str]) -> Response:
        query = request.query_params
        waiting = query.get("wait_for_change", "").lower() == "true"
        deadline = time.monotonic() + float(query.get("timeout_sec") or 3600)
        known = query.get("last_etag")
        while True:
            value = await to_thread.run_sync(self._read, address, segments)
            if value is None:
                return _refuse(404, "The requested URL was not found on this server.")
            etag = _etag(value)
            if known is None:
                known = etag
            if not waiting or etag != known or time.monotonic() >= deadline or self.changes.closed:
                break
            await self.changes.wait(min(_RECHECK_SECONDS, max(0.0, deadline - time.monotonic())))
            if await request.is_disconnected():
                break
        directory = _is_directory(value)
        if directory and not request.url.path.endswith("/"):
            response: Response = RedirectResponse(f"{request.url.path}/{_question(request)}", status_code=301)
        else:
            response = _render(value, directory, query)
        response.headers["ETag"] = etag
        return response

    def _read(self, address: str, segments: list[str]) -> Any:
        instance = self._directory.by_internal_ip(address)
        if instance is None:
            return None
        project = self._directory.project(project_id(instance))
        return _walk({"instance": instance_tree(instance, project), "project": project_tree(project)}, segments)

    async def _guest_attributes(self, request: Request, instance: Json, segments: list[str]) -> Response:
        project = await to_thread.run_sync(self._directory.project, project_id(instance))
        if not guest_attributes_enabled(instance, project):
            return _refuse(403, "Guest attributes endpoint access is disabled.")
        if request.method in ("PUT", "POST", "DELETE"):
            if len(segments) != 2:
                return _refuse(400, "A guest attribute is named NAMESPACE/KEY.")
            namespace, key = segments
            if request.method == "DELETE":
                await to_thread.run_sync(self._directory.delete_guest_attribute, instance, namespace, key)
                return _text("")
            value = await request.body()
            if len(value) > _GUEST_ATTRIBUTE_BYTES:
                return _refuse(413, "A guest attribute holds at most 256 KiB.")
            await to_thread.run_sync(
                self._directory.put_guest_attribute, instance, namespace, key, value.decode(errors="replace")
            )
            return _text("")
        found = _walk(await to_thread.run_sync(self._directory.guest_attributes, instance), segments, exact=True)
        if found is None:
            return _refuse(404, "The requested URL was not found on this server.")
        return _render(found, isinstance(found, dict), request.query_params)

    def _token(self, request: Request, instance: Json, account: str, kind: str) -> Response:
        found = _service_account(instance, account)
        if found is None:
            return _refuse(404, "The instance has no such service account.")
        email, granted = str(found["email"]), [str(scope) for scope in found.get("scopes", [])]
        if kind == "identity":
            audience = request.query_params.get("audience")
            if not audience:
                return _refuse(400, "non-empty audience parameter required")
            full = request.query_params.get("format", "standard") == "full"
            extra = _identity_claims(instance, self._directory.project(project_id(instance))) if full else None
            return _text(self._tokens.issue_id_token(email, audience, include_email=full, extra=extra))
        asked = [scope for scope in re.split(r"[,\s]+", request.query_params.get("scopes", "")) if scope]
        # As on Google, a VM cannot get more than its own scopes.
        scopes = tuple(sorted(scope for scope in asked if scope in granted or _everything(granted)) or sorted(granted))
        if not scopes:
            return _refuse(403, "The service account has no scopes on this instance.")
        token, expires = self._cache.get((email, scopes), ("", 0.0))
        if expires - time.time() < _TOKEN_MARGIN:
            issued = self._tokens.issue_access_token(email, list(scopes))
            token, expires = issued.token, time.time() + issued.expires_in
            self._cache[email, scopes] = (token, expires)
        body = {"access_token": token, "expires_in": int(expires - time.time()), "token_type": "Bearer"}
        return Response(json.dumps(body), media_type="application/json")


def guest_attributes_enabled(instance: Json, project: Json) -> bool:
    """Return whether a VM may publish guest attributes. Its own metadata overrides the project's."""
    attributes = {**project.get("attributes", {}), **_attributes(instance)}
    return str(attributes.get("enable-guest-attributes", "")).lower() == "true"


def instance_tree(instance: Json, project: Json) -> Json:
    """Return the tree of ``/computeMetadata/v1/instance/`` for an instance, with the keys of recursive JSON."""
    number = project.get("numericProjectId", 0)
    name, zone = str(instance["name"]), _last(instance.get("zone") or _link_part(instance, "zones"))
    accounts: Json = {}
    for account in instance.get("serviceAccounts", []):
        entry = {"aliases": ["default"], "email": account["email"], "scopes": list(account.get("scopes", []))}
        accounts[account["email"]] = accounts["default"] = entry
    scheduling = instance.get("scheduling", {})
    return {
        "attributes": _attributes(instance),
        "cpuPlatform": instance.get("cpuPlatform", "Intel Broadwell"),
        "description": instance.get("description", ""),
        "disks": [
            {
                "deviceName": disk.get("deviceName", f"persistent-disk-{index}"),
                "index": index,
                "interface": disk.get("interface", "SCSI"),
                "mode": disk.get("mode", "READ_WRITE"),
                "type": "PERSISTENT-BALANCED",
            }
            for index, disk in enumerate(instance.get("disks", []))
        ],
        "hostname": instance.get("hostname") or f"{name}.{zone}.c.{project['projectId']}.internal",
        "id": int(instance.get("id", 0)),
        "machineType": f"projects/{number}/machineTypes/{_last(instance.get('machineType', ''))}",
        "maintenanceEvent": "NONE",
        "name": name,
        "networkInterfaces": [_interface(interface, number) for interface in instance.get("networkInterfaces", [])],
        "preempted": "FALSE",
        "scheduling": {
            "automaticRestart": str(scheduling.get("automaticRestart", True)).upper(),
            "onHostMaintenance": scheduling.get("onHostMaintenance", "MIGRATE"),
            "preemptible": str(scheduling.get("preemptible", False)).upper(),
        },
        "serviceAccounts": accounts,
        "tags": list(instance.get("tags", {}).get("items", [])),
        "zone": f"projects/{number}/zones/{zone}",
    }


def project_tree(project: Json) -> Json:
    """Return the tree of ``/computeMetadata/v1/project/``."""
    return {
        "attributes": dict(project.get("attributes", {})),
        "numericProjectId": int(project.get("numericProjectId", 0)),
        "projectId": project["projectId"],
    }


def _interface(interface: Json, number: Any) -> Json:
    address = str(interface.get("networkIP", ""))
    mac = "42:01:" + ":".join(f"{part:02x}" for part in ipaddress.IPv4Address(address).packed) if address else ""
    gateway = str(interface.get("gateway") or "")
    return {
        "accessConfigs": [
            {"externalIp": config.get("natIP", ""), "type": config.get("type", "ONE_TO_ONE_NAT")}
            for config in interface.get("accessConfigs", [])
        ],
        "dnsServers": ["169.254.169.254"],
        "forwardedIps": [],
        "gateway": gateway,
        "ip": address,
        "ipAliases": [],
        "mac": mac,
        "mtu": 1460,
        "network": f"projects/{number}/networks/{_last(interface.get('network', ''))}",
        "subnetmask": "255.255.240.0",
        "targetInstanceIps": [],
    }


def _identity_claims(instance: Json, project: Json) -> Json:
    created = str(instance.get("creationTimestamp", ""))
    return {
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": created,
                "instance_id": str(instance.get("id", "")),
                "instance_name": instance["name"],
                "project_id": project["projectId"],
                "project_number": int(project.get("numericProjectId", 0)),
                "zone": _last(instance.get("zone") or _link_part(instance, "zones")),
            }
        }
    }


def _walk(tree: Any, segments: list[str], *, exact: bool = False) -> Any:
    """Return the value at a path: ``network-interfaces`` finds ``networkInterfaces``; attributes are not renamed."""
    value = tree
    for segment in segments:
        if isinstance(value, list):
            if not segment.isdecimal() or int(segment) >= len(value):
                return None
            value = value[int(segment)]
        elif isinstance(value, Mapping):
            key = segment if exact or segment in value else _camel(segment)
            if key not in value:
                return None
            value = value[key]
            exact = exact or segment in ("attributes", "service-accounts")
        else:
            return None
    return value


def _render(value: Any, directory: bool, query: Mapping[str, str]) -> Response:
    recursive = query.get("recursive", "").lower() == "true"
    form = query.get("alt") or ("json" if recursive else "text")
    if form == "json" and (recursive or not directory):
        return Response(json.dumps(value, sort_keys=True), media_type="application/json")
    if not directory:
        return _text(_plain(value))
    if recursive:
        return _text("".join(f"{path} {_plain(leaf)}\n" for path, leaf in _leaves(value, "")))
    return _text("\n".join(_listing(value)) + "\n" if value else "")


def _listing(value: Any) -> list[str]:
    if isinstance(value, list):
        return [f"{index}/" for index in range(len(value))]
    return [
        (_dashed(key) if key.isalnum() else key) + ("/" if _is_directory(child) else "")
        for key, child in sorted(value.items())
    ]


def _is_directory(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(child, dict) for child in value))


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    pairs = enumerate(value) if isinstance(value, list) else sorted(value.items())
    found: list[tuple[str, Any]] = []
    for key, child in pairs:
        here = f"{path}/{key}" if path else str(key)
        found.extend(_leaves(child, here) if isinstance(child, dict | list) else [(here, child)])
    return found


def _plain(value: Any) -> str:
    return "\n".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _attributes(instance: Json) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in instance.get("metadata", {}).get("items", [])}


def _service_account(instance: Json, account: str) -> Json | None:
    for candidate in instance.get("serviceAccounts", []):
        if account in ("default", candidate["email"]):
            found: Json = candidate
            return found
    return None


def _everything(scopes: list[str]) -> bool:
    return "https://www.googleapis.com/auth/cloud-platform" in scopes


def project_id(instance: Json) -> str:
    """Return the project that an instance resource belongs to."""
    return _link_part(instance, "projects")


def _link_part(instance: Json, collection: str) -> str:
    found = re.search(rf"/{collection}/([^/]+)", str(instance.get("selfLink", "")))
    return found[1] if found else ""


def _last(link: str) -> str:
    return link.rpartition("/")[2]


def _camel(segment: str) -> str:
    head, *rest = segment.split("-")
    return head + "".join(part.capitalize() for part in rest)


def _dashed(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"-{match[1].lower()}", key)


def _etag(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _question(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""


def _text(content: str) -> Response:
    return PlainTextResponse(content, media_type="application/text")


def _refuse(status: int, message: str) -> Response:
    page = f"<!DOCTYPE html><html lang=en><title>Error {status}</title><p>{message}</p></html>\n"
    return Response(page, status_code=status, media_type="text/html")
