# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables and the control node for the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation._context import Context

from tests.unit.roles.evaluated import load, render


def find(path: str) -> Path | None:
    """Return a file."""
    return Path(path) if Path(path).is_file() else None


CONTEXT = Context(cpus=2, find=find)


def values(role: str, **changed: Any) -> dict[str, Any]:
    """Return the defaults of a role outside a deployment, with some changes."""
    defaults = load("defaults/main.yml", role) | {"inventory_hostname": "vm"} | changed
    return {name: render(value, defaults) for name, value in defaults.items()}
