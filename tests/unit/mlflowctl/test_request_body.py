# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The rest of a small request is read before its response.

tests/front_end/test_mlflow.py shows the effect with nginx.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mlflow_gcp_server import request_body
from mlflow_gcp_server.request_body import LIMIT, RequestBody

PART = 1000
App = Callable[[Any, Any, Any], Awaitable[None]]


async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def read_one_part(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await refuse(scope, receive, send)


async def refuse_while_reading(scope: Any, receive: Any, send: Any) -> None:
    reading = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    await refuse(scope, receive, send)
    reading.cancel()


def parts_before_the_response(app: App, length: int, *, announced: bool = True, arrive: int | None = None) -> int:
    """Return how many parts of a body were read before the response began. Only `arrive` parts ever arrive."""
    parts = [min(PART, length - start) for start in range(0, length, PART)] or [0]
    read, before = 0, -1

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read == arrive:
            await asyncio.Event().wait()
        read += 1
        return {"type": "http.request", "body": b"x" * parts[read - 1], "more_body": read < len(parts)}

    async def send(message: dict[str, Any]) -> None:
        nonlocal before
        if message["type"] == "http.response.start":
            before = read

    headers = [(b"content-length", str(length).encode())] if announced else []
    asyncio.run(RequestBody(app)({"type": "http", "headers": headers}, receive, send))
    return before


@pytest.mark.parametrize("app", [refuse, read_one_part])
def test_a_small_body_is_read(app: App) -> None:
    assert parts_before_the_response(app, 3 * PART) == 3
    assert parts_before_the_response(app, LIMIT) == 66
    assert parts_before_the_response(app, 3 * PART, announced=False) == 3
    assert parts_before_the_response(app, 0) == 1


def test_a_long_body_is_not_read() -> None:
    assert parts_before_the_response(refuse, LIMIT + 1) == 0
    # Only the rest counts.
    assert parts_before_the_response(read_one_part, LIMIT + PART) == 67
    assert parts_before_the_response(refuse, 10 * LIMIT, announced=False) == 66


def test_a_body_that_is_being_read_is_left_alone() -> None:
    assert parts_before_the_response(refuse_while_reading, 3 * PART, arrive=0) == 0


def test_a_body_that_does_not_arrive_is_not_awaited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "SECONDS", 0.05)
    assert parts_before_the_response(refuse, 3 * PART, arrive=1) == 1


def test_other_events_pass() -> None:
    seen = []

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        seen.append((scope["type"], await receive()))

    async def receive() -> str:
        return "startup"

    asyncio.run(RequestBody(app)({"type": "lifespan"}, receive, None))
    assert seen == [("lifespan", "startup")]
