# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to the front end that no client library corrects: repeated, malformed and forged headers."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

NAME = "mlflow.test"
Headers = Sequence[tuple[str, str]]
# Longer than MLflow needs to refuse a request.
LATE_SECONDS = 0.3


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    @property
    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def challenges(self) -> list[str]:
        """Return all values of WWW-Authenticate."""
        return self.headers.get_all("WWW-Authenticate") or []

    @property
    def received(self) -> list[tuple[str, str]]:
        """Return the headers that the stand-in for MLflow received, with names in lower case."""
        return [(name.lower(), value) for name, value in self.document["headers"]]

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that the response sets."""
        jar: SimpleCookie = SimpleCookie()
        for line in self.headers.get_all("Set-Cookie") or []:
            jar.load(line)
        return {name: morsel.value for name, morsel in jar.items() if morsel.value}


class Client:
    """A client of the front end."""

    def __init__(self, port: int, certificate: Path) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(certificate))

    def ask(
        self, path: str, headers: Headers = (), *, method: str = "GET", body: bytes = b"", host: str = NAME
    ) -> Answer:
        """Send a request as it is, and return the response."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        chunked = any(name == "Transfer-Encoding" for name, _ in headers)
        if not chunked and (body or method in ("POST", "PUT", "PATCH")):
            lines.append(f"Content-Length: {len(body)}")
        message = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=30) as raw,
            self._context.wrap_socket(raw, server_hostname=NAME) as connection,
        ):
            connection.sendall(message)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return Answer(answer.status, answer.headers, answer.read())

    def send_body_late(self, path: str, headers: Headers, body: bytes) -> tuple[int, int]:
        """Send head and body of a POST apart, then request /health on the same connection. Return both statuses."""
        head = [f"POST {path} HTTP/1.1", f"Host: {NAME}", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers]
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=30) as raw,
            self._context.wrap_socket(raw, server_hostname=NAME) as connection,
        ):
            statuses = []
            for parts in (
                ["\r\n".join([*head, "", ""]).encode(), body],
                [f"GET /health HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()],
            ):
                for part in parts:
                    connection.sendall(part)
                    time.sleep(LATE_SECONDS)
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                answer.read()
                statuses.append(answer.status)
            return statuses[0], statuses[1]


def bearer(token: str) -> tuple[str, str]:
    """Return the header with a token."""
    return "Authorization", f"Bearer {token}"


def cookie(cookies: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the header with cookies."""
    return "Cookie", "; ".join(f"{name}={value}" for name, value in cookies)
