# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The environment of scheduled runs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timer_environment
short_description: The environment of scheduled runs
version_added: 0.1.0
description:
  - Returns the environment variables of the runs that P(mlops.mlflow_gcp.schedule#role) schedules.
  - Inherits the variables of this process for the project, its credentials, its API endpoints, the proxies and the
    package index. Does not inherit an access token, because it expires after one hour.
options:
  _input:
    description: Additional variables. They replace inherited variables.
    type: dict
    required: true
  inventory:
    description: Inventory sources of this run. The existing ones are passed in E(ANSIBLE_INVENTORY).
    type: list
    elements: str
    required: true
  inherit:
    description: Whether to inherit variables and inventory.
    type: bool
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the environment of the scheduled runs
  ansible.builtin.debug:
    msg: "{{ {} | mlops.mlflow_gcp.timer_environment(ansible_inventory_sources, inherit=true) }}"
"""

RETURN = r"""
_value:
  description: The environment variables.
  type: dict
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

NAMES = (
    "GOOGLE_CLOUD_PROJECT",
    "CLOUDSDK_CORE_PROJECT",
    "GCP_AUTH_KIND",
    "GCP_SERVICE_ACCOUNT_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    "CLOUDSDK_CONFIG",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_DNS",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICENETWORKING",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",
    "STORAGE_EMULATOR_HOST",
    "MLFLOW_GCP_SSH_SOURCE_RANGES",
    "MLFLOW_GCP_STATE_DIRECTORY",
    "XDG_STATE_HOME",
    # In upper and lower case, because programs differ.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    # Package index of uv, and the CA certificates for its connections.
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
# Paths may be relative to the working directory of this run.
PATHS = ("GOOGLE_APPLICATION_CREDENTIALS", "GCP_SERVICE_ACCOUNT_FILE", "UV_CONFIG_FILE")


def timer_environment(given: Mapping[str, object], inventory: Sequence[str], *, inherit: bool) -> dict[str, object]:
    """Return the environment."""
    if not inherit:
        return dict(given)
    found = {
        name: os.path.realpath(os.environ[name]) if name in PATHS else os.environ[name]
        for name in NAMES
        if os.environ.get(name)
    }
    if sources := ",".join(source for source in inventory if Path(source).exists()):
        found["ANSIBLE_INVENTORY"] = sources
    return found | dict(given)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"timer_environment": timer_environment}
