# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the server that is active, for commands besides the cutover."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import FailedError
from .system import Paths, read


def active_slot(paths: Paths) -> Path:
    """Return the directory of the active slot."""
    name = read(paths.slots / "active").strip()
    if not name or not (paths.slots / name / "server.json").exists():
        raise FailedError(f"no server is installed in {paths.slots}. Run site.yml first")
    return paths.slots / name


def server_settings(paths: Paths, slot: str = "") -> dict[str, Any]:
    """Return the configuration of a slot, by default the active one. Without slots, the desired configuration."""
    active = slot or read(paths.slots / "active").strip()
    text = read(paths.slots / active / "server.json") if active else ""
    settings: dict[str, Any] = json.loads(text or read(paths.configuration / "server.json") or "{}")
    return settings


def auth_database(paths: Paths) -> str:
    """Return the name of the authentication database."""
    return str(server_settings(paths).get("auth_database", "mlflow_auth"))


def application_database(paths: Paths) -> str:
    """Return the name of the database of an own application, empty if there is none."""
    return str(server_settings(paths).get("application_database", ""))
