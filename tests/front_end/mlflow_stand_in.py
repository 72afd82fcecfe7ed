# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for MLflow on a Unix socket.

The server package reads the credential. The response contains the request.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

from mlflow_gcp_server import credentials

PASSWORDS = {"admin": "a-long-admin-password"}
PUBLIC = ("/health", "/static-files/", "/favicon.ico")
PAGE = b"<!doctype html><title>MLflow</title><h1>Runs</h1><script>document.write(location.hash)</script>"


def basic(username: str, password: str) -> str:
    """Return a `Basic` credential."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class MlflowStandIn:
    """The server. `requests` are the requests that reached it, newest last."""

    def __init__(self, path: Path, secret: str) -> None:
        self._path, self._secret = path, secret
        self.requests: list[dict[str, Any]] = []
        # Addresses whose access the server package refuses.
        self.refused: set[str] = set()
        # Whether wrong passwords are limited, as after several attempts.
        self.limited = False
        self.challenge = 'Bearer realm="mlflow"'

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Answer requests."""
        stand_in = self

        class Handler(_Handler):
            pass

        Handler.stand_in = stand_in
        self._path.unlink(missing_ok=True)
        with _Server(str(self._path), Handler) as server:
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()
                self._path.unlink(missing_ok=True)

    def user(self, headers: list[tuple[str, str]]) -> tuple[str, int]:
        """Return the user of a request, and the status for a request without a user."""
        scope = {"headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]}
        try:
            credential = credentials.read(scope, identities=True)
        except credentials.MalformedError:
            return "", 401
        if isinstance(credential, credentials.SentIdentity):
            if credential.secret != self._secret or not credential.method:
                return "", 401
            return ("", 403) if credential.address in self.refused else (credential.address, 200)
        if credential and PASSWORDS.get(credential.username) == credential.password:
            return credential.username, 200
        return "", 401


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: MlflowStandIn

    def __getattr__(self, name: str) -> Any:
        # http.server looks for a function do_METHOD.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        """Return the request."""
        headers = [(name, value) for name, value in self.headers.items()]
        length = self._read_body()
        user, status = self.stand_in.user(headers)
        if self.stand_in.limited and not user:
            status = 429
        if self.path.startswith(PUBLIC):
            status = 200
        seen = {"method": self.command, "path": self.path, "user": user, "length": length, "headers": headers}
        self.stand_in.requests.append(seen)
        page = status == 200 and "text/html" in (self.headers.get("Accept") or "")
        refusal = {"error_code": {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(status), "message": "Refused."}
        body = PAGE if page else json.dumps(seen if status == 200 else refusal).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "7")
        if status == 401:
            self.send_header("WWW-Authenticate", self.stand_in.challenge)
        self.end_headers()
        # nginx reads only the head of the response to a subrequest.
        with contextlib.suppress(BrokenPipeError):
            if self.command != "HEAD":
                self.wfile.write(body)

    def _read_body(self) -> int:
        """Read the body. Return its length."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return len(self.rfile.read(int(self.headers.get("Content-Length") or "0")))
        length = 0
        while size := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return length

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, *_: object) -> None:
        pass
