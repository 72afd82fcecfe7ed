# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Batches: several calls in one multipart/mixed request."""

from __future__ import annotations

import email.parser
import email.policy
import uuid
from typing import Any
from urllib.parse import urlsplit

import anyio.from_thread
from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call

_LIMIT = 100


def batch(call: Call) -> Response:
    """Run up to a hundred calls. Each part has its own status; the batch succeeds even if parts fail."""
    content_type = call.request.headers.get("content-type", "")
    raw = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode() + call.media.read()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    if not message.is_multipart():
        raise ApiError(400, "badRequest", "Failed to parse batch request, error: the body is not multipart/mixed.")
    parts = list(message.iter_parts())
    if len(parts) > _LIMIT:
        raise ApiError(400, "invalid", f"A batch has at most {_LIMIT} calls.")
    boundary = f"batch_{uuid.uuid4().hex}"
    answer = b""
    for part in parts:
        head, _, body = _split(part)
        status, headers, content = _carry_out(call, head, body)
        id = str(part.get("Content-ID") or "").strip("<>")
        answer += f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\n".encode()
        answer += f"HTTP/1.1 {status} \r\n".encode()
        answer += b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        answer += b"\r\n" + content + b"\r\n"
    answer += f"--{boundary}--\r\n".encode()
    return Response(answer, headers={"Content-Type": f"multipart/mixed; boundary={boundary}"})


def _split(part: Any) -> tuple[bytes, bytes, bytes]:
    payload = part.get_payload(decode=True) or b""
    payload = payload.replace(b"\r\n", b"\n").lstrip(b"\n")
    return payload.partition(b"\n\n") if b"\n\n" in payload else (payload, b"", b"")


def _carry_out(call: Call, head: bytes, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Run one call through the application, with the batch's token if the call has no token."""
    first, _, rest = head.partition(b"\n")
    words = first.decode("latin-1").split()
    if len(words) < 2:
        raise ApiError(400, "badRequest", "Failed to parse batch request, error: a part is not an HTTP request.")
    url = urlsplit(words[1])
    own = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(rest + b"\n\n")
    headers = {name.lower(): str(value) for name, value in own.items()}
    headers.setdefault("authorization", call.request.headers.get("authorization", ""))
    headers["host"] = call.request.headers.get("host", "")
    headers["content-length"] = str(len(body))
    scope = dict(call.request.scope) | {
        "method": words[0].upper(),
        "path": url.path,
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items() if v],
        "path_params": {},
        "state": {},
    }
    status = 500
    answered: list[tuple[bytes, bytes]] = []
    content = b""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        nonlocal status, answered, content
        if event["type"] == "http.response.start":
            status, answered = event["status"], list(event["headers"])
        elif event["type"] == "http.response.body":
            content += event.get("body", b"")

    anyio.from_thread.run(call.request.app, scope, receive, send)
    return status, answered, content
