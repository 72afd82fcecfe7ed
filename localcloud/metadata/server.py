# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The metadata server at 169.254.169.254, as an ASGI application.

It identifies a VM by its source address, asks an :class:`InstanceDirectory` for the instance, and answers as Compute
Engine does: plain text for leaves, listings for directories, JSON with ``recursive=true`` or ``alt=json``, ``ETag`` and
``wait_for_change``, guest attributes, and tokens of the VM's service account.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from localcloud.metadata.changes import Changes
from localcloud.metadata.directory import InstanceDirectory, TokenIssuer
from localcloud.metadata.tree import (
    guest_attributes_enabled,
    identity_claims,
    instance_tree,
    project_id,
    project_tree,
    service_account,
)

Json = dict[str, Any]
_ROOT = "/computeMetadata/v1"
_TOKEN_MARGIN = 300
"""A token with fewer remaining seconds is not handed out."""
_RECHECK_SECONDS = 5.0
"""A waiting request checks for changes at this interval, even without a notification."""
_GUEST_ATTRIBUTE_BYTES = 256 * 1024


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
        found = service_account(instance, account)
        if found is None:
            return _refuse(404, "The instance has no such service account.")
        email, granted = str(found["email"]), [str(scope) for scope in found.get("scopes", [])]
        if kind == "identity":
            audience = request.query_params.get("audience")
            if not audience:
                return _refuse(400, "non-empty audience parameter required")
            full = request.query_params.get("format", "standard") == "full"
            extra = identity_claims(instance, self._directory.project(project_id(instance))) if full else None
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


def _everything(scopes: list[str]) -> bool:
    return "https://www.googleapis.com/auth/cloud-platform" in scopes


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
