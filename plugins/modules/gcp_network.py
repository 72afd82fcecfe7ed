#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_network
short_description: Manage a VPC network
version_added: 0.1.0
description:
  - Creates, updates and deletes a VPC network of Google Compute Engine.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the network.
    type: str
    required: true
  description:
    description: Free text. Cannot be changed after creation.
    type: str
  auto_create_subnetworks:
    description:
      - Whether Google creates a subnetwork in each region. V(false) creates a network in custom mode.
      - Cannot be changed after creation.
    type: bool
    default: false
  mtu:
    description: Maximum transmission unit in bytes, from 1300 to 8896. Google's default is 1460.
    type: int
  routing_mode:
    description: Whether routes that Cloud Routers learn apply in their own region or in all regions.
    type: str
    choices: [REGIONAL, GLOBAL]
"""

EXAMPLES = r"""
- name: Create a network in custom mode
  mlops.mlflow_gcp.gcp_network:
    project: my-project
    name: mlflow-network
    routing_mode: REGIONAL
"""

RETURN = r"""
resource:
  description: >-
    The network as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/networks).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-network
    selfLink: https://www.googleapis.com/compute/v1/projects/my-project/global/networks/mlflow-network
    autoCreateSubnetworks: false
"""

from ..module_utils import _formats
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource


class Network(Resource):
    """Manage compute.networks."""

    kind = "network"
    collection = "projects/{project}/global/networks"
    formats = {"name": _formats.name}
    options = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "auto_create_subnetworks": {"type": "bool", "default": False},
        "mtu": {"type": "int"},
        "routing_mode": {"type": "str", "choices": ["REGIONAL", "GLOBAL"]},
    }
    fields = {
        "description": Field(immutable=True),
        "auto_create_subnetworks": Field(immutable=True),
        "mtu": Field(),
        "routing_mode": Field(at="routingConfig.routingMode"),
    }


def main() -> None:
    """Run the module."""
    run(Network)


if __name__ == "__main__":
    main()
