# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Wait until the MLflow server is of use, not merely up.

/health never touches the database, so this signs in and searches experiments; with --artifacts it also stores a
small artifact, reads it back and deletes it. Runs on Debian's Python, as root or inside the service.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/.readiness"


class NotReadyError(Exception):
    """What is not ready, in words."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Server:
    """The server behind a socket, asked as one user."""

    def __init__(self, path: str, username: str, password: str) -> None:
        self._path = path
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Host": "localhost"}

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """Return the answer's body; anything but success means not ready."""
        connection = UnixConnection(self._path, timeout=60)
        headers = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotReadyError(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if response.status >= 300:
            text = answer[:300].decode(errors="replace").strip()
            raise NotReadyError(f"{method} {path}: HTTP {response.status}: {text}")
        return answer


def check(server: Server, *, artifacts: bool) -> None:
    """Raise NotReadyError unless the server serves."""
    server.ask("GET", "/health")
    server.ask("POST", "/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 1}).encode())
    if artifacts:
        name, content = f"{ARTIFACTS}/{secrets.token_hex(8)}", secrets.token_bytes(64)
        server.ask("PUT", name, content, "application/octet-stream")
        try:
            if server.ask("GET", name) != content:
                raise NotReadyError("an artifact came back different from what was stored")
        finally:
            server.ask("DELETE", name)


def gone(process: str) -> bool:
    """Tell whether the server process has ended, so that there is nothing to wait for."""
    if not process:
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    return False


def read_password(directories: Sequence[str]) -> str:
    """Return the administrator's password from the first credential store that has it."""
    for directory in directories:
        path = Path(directory) / "mlflow.admin-password"
        if directory and path.exists():
            return path.read_text(encoding="utf-8").rstrip("\r\n")
    places = ", ".join(filter(None, directories))
    raise SystemExit(f"MLflow cannot be checked: no credential mlflow.admin-password in {places}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Wait until the MLflow server is of use")
    parser.add_argument("--socket", default="/run/mlflow/mlflow.sock")
    parser.add_argument("--username", default="admin")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to keep trying")
    parser.add_argument("--artifacts", action="store_true", help="store, read and delete an artifact too")
    options = parser.parse_args(arguments)
    # Inside the service its own credentials; root looks where systemd itself would, in the same order.
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    stores = [own] if own or os.geteuid() != 0 else ["/etc/credstore", "/run/credstore"]
    server = Server(options.socket, options.username, read_password(stores))
    deadline = time.monotonic() + options.timeout
    while True:
        try:
            check(server, artifacts=options.artifacts)
            return 0
        except NotReadyError as error:
            # systemd tells ExecStartPost= the server's process.
            if gone(os.environ.get("MAINPID", "")):
                print("MLflow ended before it was ready. See journalctl -u mlflow.", file=sys.stderr)
                return 1
            if time.monotonic() > deadline:
                waited = f"{options.timeout:.0f} s"
                print(f"MLflow is not ready after {waited}: {error}. See journalctl -u mlflow.", file=sys.stderr)
                return 1
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
