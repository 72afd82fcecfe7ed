# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""vCPUs of a Compute Engine machine type."""

from __future__ import annotations

DOCUMENTATION = r"""
name: machine_cpus
short_description: vCPUs of a Compute Engine machine type
version_added: 0.1.0
description:
  - Reads the number of vCPUs from the name of a predefined, shared-core or custom machine type.
options:
  _input:
    description: Name of the machine type.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the vCPUs of a machine type
  ansible.builtin.debug:
    # 8
    msg: "{{ 'n2-highmem-8' | mlops.mlflow_gcp.machine_cpus }}"
"""

RETURN = r"""
_value:
  description: The number of vCPUs, or V(0) if the name does not determine it.
  type: int
"""

from collections.abc import Callable

from ..module_utils._server_plan import machine_cpus


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"machine_cpus": machine_cpus}
