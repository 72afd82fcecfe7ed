# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The problem of the client secret of an OAuth client."""

from __future__ import annotations

DOCUMENTATION = r"""
name: oauth2_client_secret
short_description: The problem of the client secret of an OAuth client
version_added: 0.1.0
description:
  - Returns a message if there is no usable client secret, with the steps that a person does at the provider.
  - The message never contains the client secret.
options:
  _input:
    description: The client secret of the role variable, empty if it is not set.
    type: str
    required: true
  stored:
    description: The value in Secret Manager, or none.
    type: str
  error:
    description: Reason why Secret Manager returned no value, or an empty text.
    type: str
  secret:
    description: ID of the secret in Secret Manager.
    type: str
    required: true
  hostname:
    description: DNS name of the server.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show what to enter at the provider
  ansible.builtin.debug:
    msg: "{{ '' | mlops.mlflow_gcp.oauth2_client_secret(secret='mlflow-client', hostname='mlflow.example.com') }}"
"""

RETURN = r"""
_value:
  description: The message, or an empty text.
  type: str
"""

from collections.abc import Callable

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._oauth2_proxy_configuration import secret_problem


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"oauth2_client_secret": secret_problem}
