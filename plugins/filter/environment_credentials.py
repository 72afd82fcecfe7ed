# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The systemd credentials of secret environment variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environment_credentials
short_description: The systemd credentials of secret environment variables
version_added: 0.1.0
description:
  - Returns the name of the systemd credential for each environment variable of C(mlflow_secret_environment).
options:
  _input:
    description: The variables with the IDs of their secrets.
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the credential of a variable
  ansible.builtin.debug:
    msg: "{{ {'OIDC_CLIENT_SECRET': 'my-secret'} | mlops.mlflow_gcp.environment_credentials }}"
"""

RETURN = r"""
_value:
  description: The variables with their credentials, such as C(mlflow.environment-oidc-client-secret).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any


def environment_credentials(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the credential of each variable. Different variables have different credentials."""
    return {name: f"mlflow.environment-{str(name).lower().replace('_', '-')}" for name in variables}


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"environment_credentials": environment_credentials}
