#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_private_services_access
short_description: Manage private services access of a VPC network
version_added: 0.1.0
description:
  - Reserves a range of internal addresses for Google's own services and connects the range to them. Cloud SQL and
    other services then get addresses in the VPC network.
  - Ranges that other clients connected stay connected.
  - With O(state=absent) the range is disconnected and released. If it was the last range, the connection is deleted
    too. A deleted Cloud SQL instance keeps the connection in use for up to four days. If Google refuses to delete the
    connection for that reason and the project has no Cloud SQL instance in the network, the module removes the
    network's peering instead. Service Networking's record of the connection may then outlive the peering.
  - In a new project the service agent of Service Networking may not be ready yet. The module waits up to five minutes
    for the service agent.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  network:
    description: Name of the network. The network must be in the same project.
    type: str
    required: true
  project_number:
    description:
      - Number of the project, such as RV(mlops.mlflow_gcp.gcp_services#module:project_number).
      - If not set, the module reads the number with one more request.
    type: str
  range_name:
    description: Name of the range.
    type: str
    required: true
  prefix_length:
    description:
      - Prefix length of the range, such as V(20). Google advises 16, and needs 24 for each service and region.
      - Needed with O(state=present). Cannot be changed after creation.
    type: int
  address:
    description:
      - First address of the range. If not set, Google picks a free range.
      - Cannot be changed after creation.
    type: str
"""

EXAMPLES = r"""
- name: Provide private addresses for Cloud SQL
  mlops.mlflow_gcp.gcp_private_services_access:
    project: my-project
    network: mlflow-network
    range_name: mlflow-services
    prefix_length: 20

- name: Remove private services access
  mlops.mlflow_gcp.gcp_private_services_access:
    project: my-project
    network: mlflow-network
    range_name: mlflow-services
    state: absent
"""

RETURN = r"""
resource:
  description: The range and the connection. Null when absent.
  returned: success
  type: dict
  contains:
    range:
      description: >-
        The range as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/globalAddresses).
      type: dict
    connection:
      description: >-
        The connection as the API returns it,
        U(https://cloud.google.com/service-infrastructure/docs/service-networking/reference/rest/v1/services.connections).
        Null if the network does not have the peering of the connection.
      type: dict
    connected:
      description: Whether the connection uses the range.
      type: bool
  sample:
    range:
      name: mlflow-services
      address: 10.20.0.0
      prefixLength: 20
      purpose: VPC_PEERING
    connection:
      network: projects/100000000001/global/networks/mlflow-network
      peering: servicenetworking-googleapis-com
      reservedPeeringRanges: [mlflow-services]
    connected: true
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field, from_projects, get_at
from ..module_utils._module import run
from ..module_utils._resource import Resource

SERVICE = "servicenetworking.googleapis.com"
CONNECTIONS = f"v1/services/{SERVICE}/connections"
PEERING = SERVICE.replace(".", "-")
AGENT_SECONDS = 300.0  # maximum wait for the service agent of a new project
STILL_USED_SECONDS = 90.0  # how long the range may stay in use after the deletion of its connection
T = TypeVar("T")


class PrivateServicesAccess(Resource):
    """Manage a compute.globalAddresses with purpose VPC_PEERING and its servicenetworking connection."""

    kind = "private services access"
    collection = "projects/{project}/global/addresses"
    path = "projects/{project}/global/addresses/{range_name}"
    create_body = {}
    formats = {
        "network": _formats.name_or_link,
        "project_number": _formats.project_number,
        "range_name": _formats.name,
        "prefix_length": _formats.integer(8, 29),
    }
    options = {
        "network": {"type": "str", "required": True},
        "project_number": {"type": "str"},
        "range_name": {"type": "str", "required": True},
        "prefix_length": {"type": "int"},
        "address": {"type": "str"},
    }
    fields = {
        "network": Field(at="range.network", immutable=True, link="projects/{project}/global/networks/{}"),
        "prefix_length": Field(at="range.prefixLength", immutable=True),
        "address": Field(at="range.address", immutable=True),
        "connected": Field(via="connect", create=False),
    }

    @property
    def title(self) -> str:
        """Return the kind, the range and the network."""
        return f"{self.kind} {self.params['range_name']} of network {self.params['network']}"

    @property
    def network_path(self) -> str:
        """Return the network's path below Compute's base address."""
        return self.fill("projects/{project}/global/networks/{network}")

    @property
    def consumer(self) -> str:
        """Return the network's name with the project's number, the only form that Service Networking accepts."""
        return f"projects/{self.project_number}/global/networks/{self.params['network']}"

    def desired(self) -> dict[str, Any]:
        """Return the desired values, including the connection, which has no option."""
        return {**super().desired(), "connected": True}

    def read(self) -> Json | None:
        """Return the range and the connection, or None if there is no range and no connection to remove."""
        reserved = super().read()
        if reserved is None and self.params["state"] == "present":
            return None
        connection = self._connection()
        connected = self.params["range_name"] in _ranges(connection)
        if reserved is None and not connected:
            return None
        return {"range": reserved, "connection": connection, "connected": connected}

    def _connection(self) -> Json | None:
        # Service Networking's record may outlive the peering by days. For an absent network, Service Networking
        # answers 403 or 404. So read the network first.
        network = self.client.find("compute", self.network_path) or {}
        if PEERING not in [peering.get("name") for peering in network.get("peerings") or ()]:
            return None
        query = {"network": self.consumer}
        found = self._with_agent(
            lambda: list(self.client.items("servicenetworking", CONNECTIONS, "connections", query))
        )
        return next((item for item in found if item.get("service", "").endswith(SERVICE)), None)

    def _with_agent(self, action: Callable[[], T]) -> T:
        return self.retry(action, _agent_not_ready, AGENT_SECONDS)

    def create(self, body: Json) -> None:
        """Reserve the range. A later update connects it."""
        address = {"name": self.params["range_name"], "purpose": "VPC_PEERING", "addressType": "INTERNAL"}
        self.call("POST", self.fill(self.collection), {**address, **body["range"]})

    def connect(self, body: Json, current: Json) -> None:
        """Add the range to the connected ranges."""
        self._connect([*_ranges(current["connection"]), self.params["range_name"]])

    def _connect(self, ranges: list[str]) -> None:
        # A forced PATCH also creates the connection. A POST fails if a record of an earlier connection remains:
        # "Cannot modify allocated ranges in CreateConnection. Please use UpdateConnection."
        query = {"force": "true", "updateMask": "reservedPeeringRanges"}
        body = {"network": self.consumer, "reservedPeeringRanges": ranges}
        self._with_agent(lambda: self.call("PATCH", f"{CONNECTIONS}/-", body, query, api="servicenetworking"))

    def delete(self, current: Json) -> None:
        """Disconnect and release the range."""
        if current["connected"]:
            others = [name for name in _ranges(current["connection"]) if name != self.params["range_name"]]
            if others:
                self._connect(others)
            else:
                self._disconnect()
        if current["range"]:
            self.retry(lambda: super(PrivateServicesAccess, self).delete(current), _still_used, STILL_USED_SECONDS)

    def _disconnect(self) -> None:
        path, body = f"{CONNECTIONS}/{PEERING}", {"consumerNetwork": self.consumer}
        try:
            self.call("POST", path, body, api="servicenetworking")
        except GoogleError as error:
            if error.code != 404 and not _still_used(error):
                raise
            # Cloud SQL keeps its side of the peering for days after the last instance is deleted. The network's side
            # can be removed now, unless that would disconnect an instance.
            users = self._databases()
            if users:
                raise RefusedError(
                    f"{self.title} is used by the Cloud SQL instances {', '.join(users)}: delete them first."
                ) from error
            self._remove_peering()

    def _remove_peering(self) -> None:
        try:
            self.call("POST", f"{self.network_path}/removePeering", {"name": PEERING})
        except GoogleError as error:
            if "there is no peering" not in error.message.lower():
                raise

    def explain(self, error: GoogleError) -> str:
        """Return the remedy for the service agent, which does the work of an operation in place of the caller."""
        if not (_agent_not_ready(error) or (_from_operation(error) and error.code in {401, 403})):
            return ""
        agent = f"service-{self.project_number}@service-networking.iam.gserviceaccount.com"
        return (
            "The service agent of Service Networking does not work in this project. Create it with "
            f"`gcloud beta services identity create --service={SERVICE} --project={self.params['project']}`, grant it "
            f"its role with `gcloud projects add-iam-policy-binding {self.params['project']} "
            f"--member=serviceAccount:{agent} --role=roles/servicenetworking.serviceAgent`, and run again."
        )

    def _databases(self) -> list[str]:
        network = self.network_path
        try:
            instances = list(self.client.items("sql", self.fill("v1/projects/{project}/instances")))
        except GoogleError as error:
            if not error.service_disabled:
                raise
            return []
        at = "settings.ipConfiguration.privateNetwork"
        return [item["name"] for item in instances if from_projects(get_at(item, at) or "") == network]


def _ranges(connection: Json | None) -> list[str]:
    return list((connection or {}).get("reservedPeeringRanges") or ())


def _from_operation(error: GoogleError) -> bool:
    """Return whether a Service Networking operation failed, as opposed to a request."""
    return error.api == "servicenetworking" and not error.method and not error.service_disabled


def _agent_not_ready(error: GoogleError) -> bool:
    """Return whether the service agent of Service Networking, or its role, is not known everywhere yet."""
    if error.code == 401:
        return _from_operation(error) and "invalid authentication credentials" in error.message
    if error.code == 403:
        return _from_operation(error) and bool(re.search(r"\bcompute\.(?!googleapis)\w+\.\w+", error.message))
    return error.api == "servicenetworking" and error.code == 400 and "Precondition check failed" in error.message


def _still_used(error: GoogleError) -> bool:
    """Return whether Google regards the connection or the range as in use."""
    text = f"{error.reason} {error.message}".lower()
    return error.code in {0, 400} and ("in_use" in text or "still using" in text or "being used" in text)


def main() -> None:
    """Run the module."""
    run(PrivateServicesAccess, required_if=[("state", "present", ["prefix_length"])])


if __name__ == "__main__":
    main()
