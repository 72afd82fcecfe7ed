# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The process: a cloud, its application and every listener that machines and the control host reach it by."""

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
    """One more door to the same cloud: https for machines, the metadata server, DNS."""

    def start(self) -> None:
        """Listen; returns once it does."""

    def stop(self) -> None:
        """Stop listening."""


class EngineModule(Protocol):
    """What `--engine NAME` loads: the module `localcloud.engine.NAME`."""

    def build(self, settings: Settings) -> Engine:
        """The engine, ready for use; it finds the machines of an earlier run."""

    def listeners(self, cloud: Cloud, app: App) -> list[Listener]:
        """Doors to open besides 127.0.0.1; `app.asgi` dispatches by Host header."""


def load_engine(name: str) -> EngineModule:
    """The engine's module by name."""
    return cast(EngineModule, importlib.import_module(f"localcloud.engine.{name}"))


def listening(port: int) -> socket.socket:
    """A socket bound to a port of 127.0.0.1; an EngineError that says what to do when it is taken."""
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
    """Serve on 127.0.0.1 and the engine's own listeners until a signal ends it."""
    # Everything that may be refused comes before the first change of state.
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
