# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read the rest of a small request before its response.

MLflow refuses a request before it has read the body. If the rest of the body arrives after the response, nginx has
announced an open connection and closes it: the next request of the client fails.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIMIT = 65_536
"""The largest rest that is read, in bytes. A larger upload that is refused still costs the client its connection."""
SECONDS = 5.0
"""The longest wait for the rest."""


class RequestBody:
    """An ASGI application that reads the body of a request before the response begins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, _announced(scope))

        async def after_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.finish()
            await send(message)

        await self._app(scope, body.receive, after_body)


def _announced(scope: Scope) -> int:
    """Return the length of the body in bytes, 0 if the client has not announced it."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths else 0


class _Body:
    def __init__(self, receive: Receive, announced: int) -> None:
        self._receive = receive
        self._left = announced
        self._ended = self._reading = False

    async def receive(self) -> Message:
        """Return the next part of the body."""
        self._reading = True
        try:
            message = await self._receive()
        finally:
            self._reading = False
        self._left -= len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message

    async def finish(self) -> None:
        """Read the rest, unless MLflow is reading it or it is long. A body without an announced length may be long."""
        if self._ended or self._reading or self._left > LIMIT:
            return
        least = min(self._left, 0) - LIMIT
        try:
            async with asyncio.timeout(SECONDS):
                while not self._ended and self._left > least:
                    await self.receive()
        except TimeoutError:
            return
