# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The ASGI application. Checks method, token, contract, API, permission; runs the handler; checks the response."""

from __future__ import annotations

import gzip
import html
import json
import logging
import tempfile
import zlib
from typing import IO, Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from localcloud.access.auth import ANONYMOUS, Principal, unauthenticated
from localcloud.core import fieldmask
from localcloud.core.calls import Entry
from localcloud.core.canonical import ContractError
from localcloud.core.errors import ApiError, Dialect, bad_request
from localcloud.core.faults import Fault
from localcloud.framework import constraints
from localcloud.framework.cloud import Cloud
from localcloud.framework.consumer import require_enabled
from localcloud.framework.registry import Found, Registry
from localcloud.framework.scopes import check_scopes
from localcloud.framework.service import Bound, Call
from localcloud.server.absolute_form import AbsoluteForm

Json = dict[str, Any]

_log = logging.getLogger(__name__)
_VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SPOOL = 8 * 2**20


class App:
    """One local cloud behind HTTP. `asgi` is the application that every listener serves."""

    def __init__(self, cloud: Cloud, registry: Registry) -> None:
        self.cloud = cloud
        self.registry = registry
        # Handlers may block (an operation's wait for two minutes): anyio's default of forty threads is too small.
        self._threads: anyio.CapacityLimiter | None = None
        self.asgi = Starlette(
            routes=[Route("/{rest:path}", self._serve, methods=_VERBS)], middleware=[Middleware(AbsoluteForm)]
        )

    async def _serve(self, request: Request) -> Response:
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(200)
        host = request.headers.get("host", "").rsplit(":", 1)[0].lower()
        raw_path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").split("?")[0]
        found = self.registry.find(host, request.method, raw_path)
        if found is None:
            return _unknown_path(request.url.path)
        if found.service.admin:
            return await self._control(request, found)
        name = found.match.method.id if found.match else f"{found.service.name}.raw"
        fault = self.cloud.faults.take(name, raw_path)
        with self.cloud.calls.record(name, request.method, raw_path) as entry:
            return await self._logged(request, found, fault, entry)

    async def _logged(self, request: Request, found: Found, fault: Fault | None, entry: Entry) -> Response:
        """Handle a call with its fault, and complete the entry of the log."""
        if fault is not None and fault.drop and not fault.after:
            return _cut(request)
        with await _spool(request) as body:
            if fault is not None and not fault.after:
                response = _error(fault.error(), found)
            else:
                response = await anyio.to_thread.run_sync(self._handle, request, found, body, limiter=self._threads)
                entry.handled = response.status_code
                entry.project = getattr(request.state, "project", None)
                entry.name, entry.targetLink = getattr(request.state, "answer", (None, None))
                if fault is not None:
                    response = _cut(request) if fault.drop else _error(fault.error(), found)
        entry.status = 0 if fault is not None and fault.drop else response.status_code
        return response

    async def _control(self, request: Request, found: Found) -> Response:
        """Handle an admin request, for the control node only."""
        client = request.client.host if request.client else ""
        host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()
        # Refuse web pages in a browser on the control node, too: a page may use any host name, but it sends its origin.
        if client not in _LOOPBACK or host not in _LOOPBACK or "origin" in request.headers:
            return _unknown_path(request.url.path)
        with await _spool(request) as body:
            return await anyio.to_thread.run_sync(self._handle, request, found, body, limiter=self._threads)

    def _handle(self, request: Request, found: Found, body: IO[bytes]) -> Response:
        try:
            return self._answer(request, found, body)
        except ApiError as error:
            return _error(error, found)
        except ContractError as error:
            details = [bad_request([(v.field, v.description) for v in error.violations])]
            return _error(ApiError(400, None, str(error), details), found)
        except Exception as error:
            _log.exception("%s %s", request.method, request.url.path)
            return _error(ApiError(500, None, f"{type(error).__name__}: {error}"), found)

    def _answer(self, request: Request, found: Found, body: IO[bytes]) -> Response:
        service = found.service
        if found.raw is not None:
            caller = ANONYMOUS if service.admin else self._caller(request, anonymous=found.raw.anonymous)
            call = Call(self.cloud, request, service, None, dict(found.raw_params), {}, caller, media=body)
            result: Json | Response | None = found.raw.handler(call)
            return result if isinstance(result, Response) else JSONResponse(result)
        if found.match is None:
            raise TypeError("neither a raw route nor a contract method")
        method = found.match.method
        caller = self._caller(request, anonymous=service.anonymous)
        check_scopes(caller, method, service)
        contract = next(c for c in service.contracts() if c.version == method.version)
        params = contract.parameters(found.match, request.query_params.multi_items())
        payload: Json = {}
        if not found.match.upload:
            path_fields = service.dialect is not Dialect.REASON
            payload = contract.request(method, _json(request, body), path_fields=path_fields)
        if found.bound is None:
            message = (
                f"{method.id} ({service.name} {method.version}) is in Google's contract but not in the local cloud."
            )
            raise ApiError(501, None, message)
        call = Call(
            self.cloud, request, service, method, params, payload, caller,
            media=body, upload=found.match.upload,
        )  # fmt: skip
        constraints.check_service(call, found.bound)
        self._admit(call, found.bound)
        result = found.bound.handler(call)
        if isinstance(result, Response):
            return result
        try:
            contract.response(method, result)
        except ContractError as error:
            raise ApiError(
                500, None, f"The local cloud's own answer to {method.id} does not fit the contract: {error}"
            ) from error
        # For the log: the created resource and its operation.
        request.state.answer = tuple((result or {}).get(key) for key in ("name", "targetLink"))
        if method.response is None:
            return Response(status_code=204)
        alt = request.query_params.get("$alt") or request.query_params.get("alt") or ""
        document: Json = result or {}
        if "enum-encoding=int" in alt and service.dialect is not Dialect.REASON:
            document = contract.messages.numbered(method.response, document)
        mask = request.query_params.get("fields") or request.query_params.get("$fields")
        return JSONResponse(fieldmask.apply(document, mask) if mask else document)

    def _caller(self, request: Request, *, anonymous: bool) -> Principal:
        header = request.headers.get("authorization")
        if not header and request.query_params.get("access_token"):
            header = f"Bearer {request.query_params['access_token']}"
        if anonymous and (not header or header.lower().startswith("basic ")):  # Basic: an OAuth client's
            return ANONYMOUS
        return self.cloud.auth.authenticate(header)

    def _admit(self, call: Call, bound: Bound) -> None:
        # For the log. Read before any refusal, so that the log has the project of refused calls, too.
        project = call.request.state.project = bound.project(call) if bound.project else call.project
        require_enabled(call, bound)
        if bound.permission is None:
            return
        resource = bound.resource(call) if bound.resource else call.resource
        full = f"//{call.service.host}/{resource}" if resource else None
        if not self.cloud.permissions.allowed(call.caller, bound.permission, project, full):
            if not call.caller.email:
                raise unauthenticated("CREDENTIALS_MISSING")
            raise call.service.denied(bound.permission, resource or f"projects/{project}")


async def _spool(request: Request) -> IO[bytes]:
    """Return the body, in memory or, beyond some megabytes, in a temporary file."""
    file = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 (the caller closes the file)
    try:
        async for chunk in request.stream():
            if file.tell() + len(chunk) > _SPOOL:
                await anyio.to_thread.run_sync(file.write, chunk)
            else:
                file.write(chunk)
    except ClientDisconnect:
        file.close()
        raise
    file.seek(0)
    return file


def _json(request: Request, body: IO[bytes]) -> Any:
    raw = body.read()
    if request.headers.get("content-encoding", "").lower() == "gzip":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ApiError(400, None, "Request payload is not valid gzip.") from error
    if not raw.strip():
        return None
    try:
        return json.loads(raw, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "parseError", f"Invalid JSON payload received. {error}") from error


def _not_json(constant: str) -> Any:
    """Refuse NaN and Infinity, which Python's parser would accept."""
    raise ValueError(f"Unexpected token: {constant}")


def _error(error: ApiError, found: Found) -> Response:
    if found.raw is not None and found.raw.refuse is not None:
        return found.raw.refuse(error)
    return JSONResponse(error.envelope(found.service.dialect), status_code=error.code, headers=error.headers)


def _cut(request: Request) -> Response:
    """Reset the connection.

    ASGI has no message for a reset. uvicorn's transport is an attribute of the cycle that `receive` belongs to.
    """
    request.receive.__self__.transport.abort()  # type: ignore[attr-defined]
    return Response(status_code=503)


def _unknown_path(path: str) -> Response:
    text = (
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n"
        f"<p><b>404.</b> <ins>That's an error.</ins>\n<p>The requested URL <code>{html.escape(path)}</code> was not "
        "found on this server. <ins>That's all we know.</ins>\n"
    )
    return HTMLResponse(text, status_code=404)
