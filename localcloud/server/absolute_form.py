# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Requests in absolute form (`GET http://host/path`), which clients send to a proxy (RFC 9112, 3.2.2)."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send


class AbsoluteForm:
    """ASGI middleware: turns the absolute form into the origin form. The URL's host replaces the header's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            target = scope.get("raw_path", b"").decode("latin-1")
            scheme, mark, rest = target.partition("://")
            if mark and scheme.lower() in ("http", "https"):
                host, _, path = rest.partition("/")
                scope = dict(scope) | {"path": unquote(f"/{path}"), "raw_path": f"/{path}".encode("latin-1")}
                scope["headers"] = list(scope["headers"])
                MutableHeaders(scope=scope)["host"] = host.rpartition("@")[2]
        await self._app(scope, receive, send)
