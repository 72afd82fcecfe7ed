# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Connections that a Cloud SQL tier allows by default."""

from __future__ import annotations

DOCUMENTATION = r"""
name: default_max_connections
short_description: Connections that a Cloud SQL tier allows by default
version_added: 0.2.0
description:
  - Returns the default of the flag C(max_connections) of Cloud SQL for PostgreSQL, which follows from the memory of
    the tier.
options:
  _input:
    description: Name of the tier.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the connections of a tier
  ansible.builtin.debug:
    # 100
    msg: "{{ 'db-custom-1-3840' | mlops.mlflow_gcp.default_max_connections }}"
"""

RETURN = r"""
_value:
  description: The number, V(0) where the name does not tell.
  type: int
"""

from collections.abc import Callable

from ..module_utils._server_plan import default_max_connections


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return it by its name."""
        return {"default_max_connections": default_max_connections}
