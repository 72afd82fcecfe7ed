# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the role variable ``deployment_runtime``, and all data that depends on the value.

Each value has a role with the tasks that depend on the value: the entry points. See docs/decisions/0031.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._choice import COLLECTION, choose


@dataclass(frozen=True)
class Runtime:
    """A way to run the server on Google Cloud."""

    name: str
    role: str
    # Task files of the role that other roles and playbooks include.
    entry_points: tuple[str, ...]


VM = Runtime(
    name="vm",
    role="runtime_vm",
    entry_points=("provision", "access", "configure", "reload", "start", "stop", "destroy"),
)
RUNTIMES: Mapping[str, Runtime] = {each.name: each for each in (VM,)}


def find(value: object) -> Runtime:
    """Return the runtime for a value of `deployment_runtime`."""
    return choose("deployment_runtime", value, RUNTIMES)


def describe(runtime: Runtime) -> dict[str, Any]:
    """Return the part of the fact."""
    return {"name": runtime.name, "role": f"{COLLECTION}.{runtime.role}"}
