# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Workers, threads and database connections of the MLflow server."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_plan
short_description: Workers, threads and database connections of the MLflow server
version_added: 0.1.0
description:
  - Computes the number of workers and connections of the MLflow server from the CPUs of its VM and from the connections
    that its database allows. Reports whether the database allows enough connections.
  - Each worker has one connection pool for runs, one for the model registry and one for users. With background jobs it
    has one more. During a cutover two servers have connections at the same time.
options:
  _input:
    description:
      - V(workers), V(pool_size), V(max_overflow). V(0) computes the value.
      - V(cpus) and V(max_connections). V(0) means unknown.
      - V(jobs), whether background jobs run.
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the number of workers for two CPUs
  ansible.builtin.debug:
    # 2
    msg: "{{ ({'cpus': 2, 'max_connections': 200} | mlops.mlflow_gcp.server_plan).workers }}"

- name: Show why eight workers are too many
  ansible.builtin.debug:
    # 8 workers * 3 pools * 9 connections * 2 servers during a cutover + 10 reserved = 442
    msg: "{{ ({'workers': 8, 'max_connections': 200} | mlops.mlflow_gcp.server_plan).sum }}"
"""

RETURN = r"""
_value:
  description:
    - V(workers), V(threads) of each, V(pool_size) and V(max_overflow) of each pool.
    - V(connections), the maximum number of connections of the deployment, and V(sum), its calculation as text.
    - V(fits), whether the database allows them.
  type: dict
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ..module_utils._server_plan import server_plan


def planned(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan as a dictionary."""
    return asdict(server_plan(**given))


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"server_plan": planned}
