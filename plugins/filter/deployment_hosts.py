# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Find the inventory host of a deployment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: deployment_hosts
short_description: Inventory hosts that are one VM of Google Cloud
version_added: 0.1.0
description:
  - Returns the hosts whose variables identify the VM. The name of a host does not matter, because the option
    O(mlops.mlflow_gcp.gcp_instances#inventory:hostnames) may set it.
  - A host without such variables, as in a static inventory, is the VM if it has the name of the VM.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts, such as those of a group.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  project:
    description: The VM's project.
    type: str
    required: true
  zone:
    description: The VM's zone.
    type: str
    required: true
  vm:
    description: The VM's name.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the host of a deployment
  ansible.builtin.debug:
    # ['mlflow-server']
    msg: >-
      {{ groups['mlflow'] | mlops.mlflow_gcp.deployment_hosts(hostvars, project='my-project', zone='europe-west1-b',
                                                              vm='mlflow-server') }}
"""

RETURN = r"""
_value:
  description: The names of the hosts that are the VM. Empty where none is.
  type: list
  elements: str
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

_SELF_LINK = re.compile(r"(?:^|/)projects/([^/]+)/zones/([^/]+)/instances/([^/]+)$")


class Identity(NamedTuple):
    """Project, zone and name. Together they identify a VM in Google Cloud."""

    project: str
    zone: str
    name: str

    def __str__(self) -> str:
        """Return PROJECT/ZONE/NAME."""
        return "/".join(self)


def identity(variables: Mapping[str, Any]) -> Identity | None:
    """Return the VM of a host from the variables of the inventory plugin, or None for a host of another source.

    ``selfLink`` comes first, because ``compose`` may set ``project`` or ``zone`` to something else.
    """
    if found := _SELF_LINK.search(str(variables.get("selfLink") or "")):
        return Identity(*found.groups())
    values = [str(variables.get(name) or "") for name in ("project", "zone", "instance_name")]
    return Identity(*values) if all(values) else None


def deployment_hosts(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], *, project: str, zone: str, vm: str
) -> list[str]:
    """Return the hosts that are the VM."""
    deployment = Identity(project, zone, vm)
    return [host for host in hosts if (identity(hostvars[host]) or deployment._replace(name=host)) == deployment]


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"deployment_hosts": deployment_hosts}
