# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The server process: a cloud, its application, and the listeners for VMs and the control node."""

from __future__ import annotations

import importlib
import logging
import socket
from typing import IO, Protocol, cast

import uvicorn

from localcloud.app import App
from localcloud.cloud import Cloud, Settings
from localcloud.engine.base import Engine, EngineError
from localcloud.locks import Taken, hold
from localcloud.sockets import bound

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """A further listener of the same cloud: https for VMs, the metadata server, DNS."""

    def start(self) -> None:
        """Start the listener; returns once it listens."""

    def stop(self) -> None:
        """Stop the listener."""


class EngineModule(Protocol):
    """The interface of the module `localcloud.engine.NAME`, which `--engine NAME` loads."""

    def build(self, settings: Settings) -> Engine:
        """Return the engine. It finds the VMs of an earlier run."""

    def listeners(self, cloud: Cloud, app: App) -> list[Listener]:
        """Return the listeners besides 127.0.0.1; `app.asgi` dispatches by Host header."""


def load_engine(name: str) -> EngineModule:
    """Return the engine's module by name."""
    return cast(EngineModule, importlib.import_module(f"localcloud.engine.{name}"))


def listening(port: int) -> socket.socket:
    """Return a socket bound to a port of 127.0.0.1. Raises EngineError with the remedy if the port is taken."""
    try:
        return bound("127.0.0.1", port)
    except OSError as error:
        raise EngineError(
            f"port {port} of 127.0.0.1 cannot be had ({error.strerror}): end the program that has it, or choose "
            "another port with --port or MLFLOW_LOCALCLOUD_PORT"
        ) from error


def _only_one(settings: Settings) -> IO[str]:
    try:
        return hold(settings.home / "serve.lock", settings.url)
    except Taken as taken:
        raise EngineError(f"a local cloud serves {settings.home} already, at {taken}") from None


def serve(settings: Settings, engine_name: str, *, port: int) -> None:
    """Serve on 127.0.0.1 and the engine's listeners until a signal arrives."""
    # Make all checks before the first change of state.
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(settings), listening(port) as door:
        _serve(settings, engine_name, door)


def _serve(settings: Settings, engine_name: str, door: socket.socket) -> None:
    module = load_engine(engine_name)
    cloud = Cloud(settings, module.build(settings))
    app = App(cloud)
    cloud.start()
    listeners = module.listeners(cloud, app)
    started: list[Listener] = []
    try:
        for listener in listeners:
            listener.start()
            started.append(listener)
        _log.info("serving %s from %s", settings.url, settings.home)
        config = uvicorn.Config(app.asgi, log_level="warning", access_log=False, lifespan="off", proxy_headers=False)
        uvicorn.Server(config).run(sockets=[door])
    finally:
        for listener in reversed(started):
            listener.stop()
        cloud.close()
