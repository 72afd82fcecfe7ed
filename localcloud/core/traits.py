# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Facts about the services that the parts below the services need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Traits:
    """The facts of all services of a local cloud. Each service declares its own (`framework.service.Service`)."""

    names: tuple[str, ...] = ()
    """The names of the services."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Approximate seconds that an operation takes at Google, by pattern over methods; the first match counts."""
    initial_apis: tuple[str, ...] = ()
    """The APIs that a new project has."""
    numbered_hosts: frozenset[str] = frozenset()
    """The hosts whose IAM conditions name a project by its number."""
    resource_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The `resource.type` in IAM conditions, by host and by collection in the resource's name."""
    constraints: Mapping[str, bool | None] = field(default_factory=dict)
    """The constraints of organization policies: the default of a boolean constraint, None for a list constraint."""
