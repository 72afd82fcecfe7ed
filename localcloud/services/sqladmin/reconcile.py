# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Restarts database servers that should run but do not, as after a reboot of the host."""

from __future__ import annotations

import logging
import threading

from localcloud.engine.base import EngineError
from localcloud.framework.cloud import Cloud, at_start
from localcloud.services.sqladmin.api import instances, private

_log = logging.getLogger(__name__)


@at_start
def reconcile(cloud: Cloud) -> None:
    """Start the servers in the background, except instances with an unfinished operation."""
    asleep = [
        private(cloud, key)["engine"]
        for key, instance in instances(cloud).documents.items()
        if instance["state"] == "RUNNABLE"
        and instance["settings"]["activationPolicy"] != "NEVER"
        and not cloud.operations.pending(key)
    ]
    asleep = [engine for engine in asleep if not cloud.engine.databases.running(engine)]
    if asleep:
        threading.Thread(target=_wake, args=(cloud, asleep), name="restart-databases", daemon=True).start()


def _wake(cloud: Cloud, engines: list[str]) -> None:
    for engine in engines:
        try:
            cloud.engine.databases.start(engine)
        except EngineError as error:
            _log.error("database %s could not be started again: %s", engine, error)
