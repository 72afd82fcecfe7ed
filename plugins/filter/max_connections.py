# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Connections that a Cloud SQL instance allows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: max_connections
short_description: Connections that a Cloud SQL instance allows
version_added: 0.1.0
description:
  - Returns the flag C(max_connections) of a Cloud SQL for PostgreSQL instance, or its default, which follows from the
    memory of the tier.
positional: tier
options:
  _input:
    description: Database flags of the instance.
    type: dict
    required: true
  tier:
    description: Tier of the instance.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the connections of a tier
  ansible.builtin.debug:
    # 100
    msg: "{{ {} | mlops.mlflow_gcp.max_connections('db-custom-1-3840') }}"
"""

RETURN = r"""
_value:
  description: The number of connections, or V(0) if neither the flags nor the name of the tier determine it.
  type: int
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils._server_plan import default_max_connections


def max_connections(flags: Mapping[str, Any], tier: str) -> int:
    """Return the number of connections. The role refuses a flag that is not a number."""
    given = str(flags.get("max_connections", ""))
    return int(given) if given.isdecimal() else default_max_connections(tier)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"max_connections": max_connections}
