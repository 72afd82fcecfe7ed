#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_address
short_description: Manage a static address
version_added: 0.1.0
description:
  - Reserves and releases a regional or global static address of Google Compute Engine.
  - Only the labels of an address can be changed after creation.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the address.
    type: str
    required: true
  region:
    description: Region of the address, such as V(europe-west1). Without O(region) the address is global.
    type: str
  address:
    description: The IP address. If not set, Google picks an address.
    type: str
  address_type:
    description: V(EXTERNAL) for the internet, V(INTERNAL) for the VPC network. Google's default is V(EXTERNAL).
    type: str
    choices: [EXTERNAL, INTERNAL]
  network_tier:
    description: The network service tier of an external address. Google's default is the project's.
    type: str
    choices: [PREMIUM, STANDARD]
  subnetwork:
    description: For an internal address, the name or the link of the subnetwork in O(region).
    type: str
  description:
    description: Free text.
    type: str
  labels:
    description: Labels. Replaces the existing map, except the labels that Google's services add (C(goog-…)).
    type: dict
"""

EXAMPLES = r"""
- name: Reserve a static address for a VM
  mlops.mlflow_gcp.gcp_address:
    project: my-project
    name: mlflow-address
    region: europe-west1
  register: address

- name: Show the address
  ansible.builtin.debug:
    msg: "{{ address.resource.address | default('not known in check mode') }}"
"""

RETURN = r"""
resource:
  description: >-
    The address as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/addresses).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-address
    address: 198.51.100.7
    addressType: EXTERNAL
    status: RESERVED
    selfLink: https://www.googleapis.com/compute/v1/projects/my-project/regions/europe-west1/addresses/mlflow-address
"""

from ..module_utils import _formats
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource


class Address(Resource):
    """Manage compute.addresses and, without a region, compute.globalAddresses."""

    kind = "address"
    formats = {"name": _formats.name, "region": _formats.region, "labels": _formats.labels}
    options = {
        "name": {"type": "str", "required": True},
        "region": {"type": "str"},
        "address": {"type": "str"},
        "address_type": {"type": "str", "choices": ["EXTERNAL", "INTERNAL"]},
        "network_tier": {"type": "str", "choices": ["PREMIUM", "STANDARD"]},
        "subnetwork": {"type": "str"},
        "description": {"type": "str"},
        "labels": {"type": "dict"},
    }
    fields = {
        "address": Field(immutable=True),
        "address_type": Field(immutable=True),
        "network_tier": Field(immutable=True),
        "subnetwork": Field(immutable=True, link="projects/{project}/regions/{region}/subnetworks/{}"),
        "description": Field(immutable=True),
        "labels": Field(via="set_labels", create=False),  # addresses.insert ignores labels; setLabels is needed
    }
    busy = ("RESERVING",)

    @property
    def collection(self) -> str:  # type: ignore[override]
        """Return the collection of the region, or the global collection."""
        scope = "regions/{region}" if self.params["region"] else "global"
        return f"projects/{{project}}/{scope}/addresses"


def main() -> None:
    """Run the module."""
    run(Address, required_by={"subnetwork": ["region"]})


if __name__ == "__main__":
    main()
