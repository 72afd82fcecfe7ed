# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The listeners for VMs: Google's APIs over TLS and the metadata server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from localcloud.core.sockets import bound
from localcloud.engine.authority import Authority
from localcloud.engine.base import EngineError


class _NotHttp(logging.Filter):
    """Drops log lines about gRPC: guest agents try gRPC on Google's names before they fall back to HTTP."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Invalid HTTP request" not in record.getMessage()


logging.getLogger("uvicorn.error").addFilter(_NotHttp())
API_NAMES = (
    "*.googleapis.com", "googleapis.com", "*.storage.googleapis.com", "accounts.google.com", "metadata.google.internal",
)  # fmt: skip


class AsgiListener:
    """An ASGI application on one address, in a thread of its own; with TLS if a certificate is given."""

    def __init__(
        self,
        application: Any,
        address: str,
        port: int,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._address = (address, port)
        self._on_stop = on_stop
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="warning",
                access_log=False,
                lifespan="off",
                proxy_headers=False,  # a VM is identified by its address: ignore headers
                server_header=False,
                timeout_graceful_shutdown=1,  # guest agents wait for up to an hour
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Return the port; if 0 was given, the port that the system chose at the start."""
        return self._address[1]

    def start(self) -> None:
        """Start the listener; returns once it listens."""
        try:
            listening = bound(*self._address)
        except OSError as error:
            raise EngineError(f"cannot listen on {self._address[0]}:{self._address[1]}: {error.strerror}") from error
        self._address = listening.getsockname()[:2]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name=f"listener-{self._address[1]}", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + 15
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise EngineError(f"the listener on {self._address[0]}:{self._address[1]} did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the listener."""
        if self._on_stop is not None:
            self._on_stop()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)


def api_certificate(authority: Authority, directory: Path) -> tuple[Path, Path]:
    """Create a certificate for Google's names; return the paths of certificate and key."""
    issued = authority.issue("googleapis.com", *API_NAMES)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = directory / "api.crt", directory / "api.key"
    certificate.write_text(issued.certificate)
    key.touch(mode=0o600)
    key.write_text(issued.key)
    return certificate, key
