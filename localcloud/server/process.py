# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The server process: a cloud, its application, and the listeners for VMs and the control node."""

from __future__ import annotations

import importlib
import logging
import socket
from typing import IO, cast

import uvicorn

from localcloud import services
from localcloud.core.locks import Taken, hold
from localcloud.core.settings import Settings
from localcloud.core.sockets import bound
from localcloud.engine.base import Applications, EngineError, EngineModule, Listener
from localcloud.engine.fake import FakeMachines
from localcloud.framework.cloud import Cloud
from localcloud.framework.registry import Registry
from localcloud.metadata.changes import CHANGES
from localcloud.metadata.guest_agent import GuestAgent
from localcloud.metadata.server import MetadataServer
from localcloud.server import admin
from localcloud.server.app import App

_log = logging.getLogger(__name__)


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


def registry() -> Registry:
    """Return the route table: Google's APIs and the admin requests."""
    return Registry([*services.load(), admin.api])


def listeners(module: EngineModule, app: App) -> list[Listener]:
    """Return the listeners for VMs, or the guest agent of VMs in memory."""
    cloud, directory = app.cloud, app.registry.directory(app.cloud)
    server = MetadataServer(directory, cloud.auth, CHANGES)
    zone_of = app.registry.hosted_zones(cloud)
    apps = Applications(app.asgi, server.app, server.changes.close, directory.address_of, zone_of)
    machines = cloud.engine.machines
    agents = [GuestAgent(machines, directory)] if isinstance(machines, FakeMachines) else []
    return [*module.listeners(cloud.settings, apps), *agents]


def _serve(settings: Settings, engine_name: str, door: socket.socket) -> None:
    module, routes = load_engine(engine_name), registry()
    cloud = Cloud(settings, module.build(settings), routes.traits)
    app = App(cloud, routes)
    cloud.start()
    started: list[Listener] = []
    try:
        for listener in listeners(module, app):
            listener.start()
            started.append(listener)
        _log.info("serving %s from %s", settings.url, settings.home)
        config = uvicorn.Config(app.asgi, log_level="warning", access_log=False, lifespan="off", proxy_headers=False)
        uvicorn.Server(config).run(sockets=[door])
    finally:
        for listener in reversed(started):
            listener.stop()
        cloud.close()
