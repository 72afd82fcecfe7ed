#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_subnetwork
short_description: Manage a subnetwork
version_added: 0.1.0
description:
  - Creates, updates and deletes a subnetwork of a VPC network in custom mode.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the subnetwork.
    type: str
    required: true
  region:
    description: Region of the subnetwork, such as V(europe-west1).
    type: str
    required: true
  network:
    description:
      - Name or link of the network.
      - Needed with O(state=present). Cannot be changed after creation.
    type: str
  ip_cidr_range:
    description:
      - Range of internal addresses, such as V(10.128.0.0/20).
      - Needed with O(state=present). Can only be replaced by a wider range that contains the existing range.
    type: str
  private_ip_google_access:
    description: Whether VMs without an external address can access Google's APIs.
    type: bool
  description:
    description: Free text. Cannot be changed after creation.
    type: str
"""

EXAMPLES = r"""
- name: Create a subnetwork whose VMs can access Google's APIs from their internal addresses
  mlops.mlflow_gcp.gcp_subnetwork:
    project: my-project
    name: mlflow-subnetwork
    region: europe-west1
    network: mlflow-network
    ip_cidr_range: 10.128.0.0/20
    private_ip_google_access: true

- name: Delete a subnetwork
  mlops.mlflow_gcp.gcp_subnetwork:
    project: my-project
    name: mlflow-subnetwork
    region: europe-west1
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The subnetwork as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/subnetworks).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-subnetwork
    ipCidrRange: 10.128.0.0/20
    gatewayAddress: 10.128.0.1
    privateIpGoogleAccess: true
    selfLink: https://www.googleapis.com/compute/v1/projects/my-project/regions/europe-west1/subnetworks/mlflow-subnetwork
"""

import ipaddress

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource


class Subnetwork(Resource):
    """Manage compute.subnetworks."""

    kind = "subnetwork"
    collection = "projects/{project}/regions/{region}/subnetworks"
    formats = {
        "name": _formats.name,
        "region": _formats.region,
        "network": _formats.name_or_link,
        "ip_cidr_range": _formats.any_range,
    }
    options = {
        "name": {"type": "str", "required": True},
        "region": {"type": "str", "required": True},
        "network": {"type": "str"},
        "ip_cidr_range": {"type": "str"},
        "private_ip_google_access": {"type": "bool"},
        "description": {"type": "str"},
    }
    fields = {
        "network": Field(immutable=True, link="projects/{project}/global/networks/{}"),
        "ip_cidr_range": Field(via="expand"),
        "private_ip_google_access": Field(via="set_private_ip_google_access"),
        "description": Field(immutable=True),
    }

    def check(self, current: Json) -> None:
        """Refuse any other range than a wider one."""
        desired = self.params["ip_cidr_range"]
        if self.params["state"] == "absent" or not desired or desired == current.get("ipCidrRange"):
            return
        try:
            wider = ipaddress.ip_network(current["ipCidrRange"]).subnet_of(ipaddress.ip_network(desired))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise RefusedError(f"{self.title} cannot get ip_cidr_range {desired}: {error}.") from error
        if not wider:
            raise RefusedError(
                f"{self.title} has ip_cidr_range {current['ipCidrRange']}, which can only be replaced by a wider range "
                f"that contains it; {desired} does not. Restore ip_cidr_range, or delete the subnetwork first (state: "
                "absent), which must have no VMs."
            )

    def expand(self, body: Json, current: Json) -> None:
        """Widen the range."""
        self.call("POST", f"{self.self_path}/expandIpCidrRange", body)

    def set_private_ip_google_access(self, body: Json, current: Json) -> None:
        """Set the access to Google's APIs, which a patch cannot change."""
        self.call("POST", f"{self.self_path}/setPrivateIpGoogleAccess", body)


def main() -> None:
    """Run the module."""
    run(Subnetwork, required_if=[("state", "present", ["network", "ip_cidr_range"])])


if __name__ == "__main__":
    main()
