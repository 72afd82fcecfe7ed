# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The adapter between the server and a Flask application, compared with the one of MLflow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import flask
import httpx
import pytest
from mlflow.server.fastapi_app import _EfficientWSGIMiddleware
from mlflow_gcp_server.wsgi import InThread

CALLER = ContextVar("caller", default="none")
application = flask.Flask(__name__)
closed: list[str] = []


@application.route("/seen", methods=["GET", "POST", "DELETE"])
def seen() -> Any:
    request = flask.request
    return {
        "query": request.args.getlist("x"),
        "body": request.get_data(as_text=True),
        "headers": sorted([name, value] for name, value in request.headers.items()),
        "client": request.remote_addr,
        "url": request.url,
    }


@application.route("/answer/<kind>")
def answer(kind: str) -> Any:
    if kind == "error":
        raise LookupError("not found")
    if kind == "empty":
        return "", 204
    response = flask.Response("text of the answer", 418 if kind == "status" else 200)
    for value in ("a=1", "b=2"):
        response.headers.add("Set-Cookie", value)
    if kind == "parts":
        response.response = iter([b"one ", b"", b"two"])
        del response.headers["Content-Length"]
    return response


@application.route("/context")
def context() -> str:
    CALLER.set("alice")
    return str(threading.current_thread() is threading.main_thread())


@application.route("/closed")
def with_callback() -> flask.Response:
    response = flask.Response("closed")
    response.call_on_close(lambda: closed.append("closed"))
    return response


def ask(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 7))
        async with httpx.AsyncClient(transport=transport, base_url="https://mlflow.test:8443") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def chunks() -> Iterator[bytes]:
    yield from (b"first ", b"second")


async def body_in_chunks() -> Any:
    for chunk in chunks():
        yield chunk


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/seen?x=1&x=%C3%A4", {"headers": [("X-A", "1"), ("X-A", "2"), ("X-B", "\xe4".encode("latin-1"))]}),
    ("POST", "/seen", {"content": b"body", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/seen", {"content": body_in_chunks}),
    ("DELETE", "/seen", {}),
    ("HEAD", "/seen", {}),
    ("GET", "/answer/text", {}),
    ("GET", "/answer/status", {}),
    ("GET", "/answer/empty", {}),
    ("GET", "/answer/parts", {}),
    ("GET", "/answer/error", {}),
    ("PUT", "/seen", {}),
    ("GET", "/missing/%C3%A4%2F", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS)
def test_request_and_response_are_those_of_mlflows_class(method: str, path: str, options: dict[str, Any]) -> None:
    answers = []
    for kind in (InThread, _EfficientWSGIMiddleware):
        given = {name: value() if callable(value) else value for name, value in options.items()}
        answers.append(ask(kind(application.wsgi_app), method, path, **given))
    ours, mlflows = ((each.status_code, each.headers.multi_items(), each.content) for each in answers)
    assert ours == mlflows


def test_the_application_runs_in_a_thread_with_its_own_context() -> None:
    assert ask(InThread(application.wsgi_app), "GET", "/context").text == "False"
    assert CALLER.get() == "none"


def test_the_response_is_closed() -> None:
    closed.clear()
    assert ask(InThread(application.wsgi_app), "GET", "/closed").text == "closed"
    assert closed == ["closed"]


def test_the_response_is_sent_at_once() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/answer/parts", "query_string": b"", "http_version": "1.1"}
    asyncio.run(InThread(application.wsgi_app)(scope, receive, send))
    assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["body"] == b"one two"
