# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The data of an authentication mode."""

from __future__ import annotations

DOCUMENTATION = r"""
name: authentication
short_description: The data of an authentication mode
version_added: 0.1.0
description:
  - Returns everything that depends on the authentication mode and not on the deployment.
  - The roles P(mlops.mlflow_gcp.mlflow#role) and P(mlops.mlflow_gcp.nginx#role) use the filter, because they also work
    without the fact C(mlflow_deployment).
options:
  _input:
    description: The value of C(mlflow_authentication).
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the role of the authentication mode
  ansible.builtin.debug:
    msg: "{{ (mlflow_authentication | mlops.mlflow_gcp.authentication).role }}"
"""

RETURN = r"""
_value:
  description:
    - The name of the mode and of its role, settings and credentials of MLflow, and the message of nginx for a missing
      credential.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _authentication


def authentication(value: str) -> dict[str, Any]:
    """Return the data of the mode."""
    return _authentication.settings(_authentication.find(value))


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"authentication": authentication}
