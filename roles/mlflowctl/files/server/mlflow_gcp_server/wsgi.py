# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Serve requests with a WSGI application, each in a thread.

MLflow's own class passes each part of a response from the thread to the event loop. For the usual small response, this
costs three changes between threads, and more CPU than the check of a permission (docs/decisions/0045).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import anyio.to_thread
from starlette.middleware.wsgi import build_environ
from starlette.types import Message, Receive, Scope, Send

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class InThread:
    """An ASGI application that sends the response of a WSGI application when it is complete. Not for large files."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        for answer in await anyio.to_thread.run_sync(self._answer, build_environ(scope, b"".join(parts))):
            await send(answer)

    def _answer(self, environ: dict[str, Any]) -> list[Message]:
        """Return the response. Blocks."""
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start["status"] = int(status.split(" ", 1)[0])
            start["headers"] = [
                (name.strip().lower().encode(), value.strip().encode("latin-1")) for name, value in headers
            ]

        with ExitStack() as stack:
            parts = self._app(environ, start_response)
            if hasattr(parts, "close"):
                stack.callback(parts.close)
            body = b"".join(parts)
        return [start, {"type": "http.response.body", "body": body}]
