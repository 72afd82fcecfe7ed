# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The process: a cloud, its application and every listener that machines and the control host reach it by."""

from __future__ import annotations

import importlib
import logging
from typing import Protocol, cast

import uvicorn

from localcloud.app import App
from localcloud.cloud import Cloud, Settings
from localcloud.engine.base import Engine

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


def serve(settings: Settings, engine_name: str, *, port: int) -> None:
    """Serve on 127.0.0.1 and the engine's own listeners until a signal ends it."""
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
        config = uvicorn.Config(
            app.asgi, host="127.0.0.1", port=port, log_level="warning", access_log=False, lifespan="off"
        )
        uvicorn.Server(config).run()
    finally:
        for listener in reversed(started):
            listener.stop()
        cloud.close()
