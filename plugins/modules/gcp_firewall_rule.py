#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_firewall_rule
short_description: Manage a VPC firewall rule
version_added: 0.1.0
description:
  - Creates, updates and deletes a firewall rule of a VPC network.
  - A range, tag or port that is removed from a list loses access in the next run.
  - Compute Engine opens an ingress rule without a source to the whole internet. The module refuses such a rule. Write
    V(0.0.0.0/0) to open a rule to the internet.
  - Google cannot change the direction of a rule. The module deletes and creates the rule instead. For some seconds
    the rule has no effect.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the rule.
    type: str
    required: true
  network:
    description:
      - Name or link of the network.
      - Needed with O(state=present). Cannot be changed after creation.
    type: str
  description:
    description: Free text.
    type: str
  direction:
    description: Direction of the traffic.
    type: str
    choices: [INGRESS, EGRESS]
    default: INGRESS
  priority:
    description: Priority from 0 to 65535. The lowest number has precedence. Google's default is 1000.
    type: int
  disabled:
    description: Whether the rule is kept without effect.
    type: bool
  allowed:
    description:
      - Allowed traffic. One of O(allowed) and O(denied) is needed with O(state=present).
    type: list
    elements: dict
    suboptions: &protocols
      ip_protocol:
        description: V(tcp), V(udp), V(icmp), V(esp), V(ah), V(sctp), V(ipip), V(all), or the number of a protocol.
        type: str
        required: true
      ports:
        description: Ports such as V(443) and ranges such as V(8000-8999). If not set, all ports.
        type: list
        elements: str
  denied:
    description: Denied traffic.
    type: list
    elements: dict
    suboptions: *protocols
  source_ranges:
    description:
      - Source ranges in CIDR form. An address without a prefix length means this address only.
    type: list
    elements: str
  destination_ranges:
    description: Destination ranges in CIDR form.
    type: list
    elements: str
  source_tags:
    description: Network tags of the source VMs.
    type: list
    elements: str
  source_service_accounts:
    description: E-mail addresses of the service accounts of the source VMs.
    type: list
    elements: str
  target_tags:
    description: Network tags of the target VMs. Without a target, the rule applies to all VMs of the network.
    type: list
    elements: str
  target_service_accounts:
    description: E-mail addresses of the service accounts of the target VMs.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Allow HTTP and HTTPS from everywhere to the VMs with a tag
  mlops.mlflow_gcp.gcp_firewall_rule:
    project: my-project
    name: mlflow-allow-https
    network: mlflow-network
    allowed:
      - ip_protocol: tcp
        ports: ["80", "443"]
    source_ranges:
      - 0.0.0.0/0
    target_tags:
      - mlflow-server

- name: Delete the rule for SSH
  mlops.mlflow_gcp.gcp_firewall_rule:
    project: my-project
    name: mlflow-allow-ssh
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The rule as the API returns it, U(https://cloud.google.com/compute/docs/reference/rest/v1/firewalls).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-allow-https
    direction: INGRESS
    priority: 1000
    allowed: [{IPProtocol: tcp, ports: ["80", "443"]}]
    sourceRanges: ["0.0.0.0/0"]
    targetTags: [mlflow-server]
"""

import ipaddress
from collections.abc import Sequence

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource

_PROTOCOLS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "ip_protocol": {"type": "str", "required": True},
        "ports": {"type": "list", "elements": "str"},
    },
}
_NAMES = {"ip_protocol": "IPProtocol"}
_STRINGS = {"type": "list", "elements": "str"}
_SOURCES = ("source_ranges", "source_tags", "source_service_accounts")


class FirewallRule(Resource):
    """Manage compute.firewalls."""

    kind = "firewall rule"
    collection = "projects/{project}/global/firewalls"
    formats = {
        "name": _formats.name,
        "network": _formats.name_or_link,
        "priority": _formats.integer(0, 65535),
        "source_ranges": _formats.each(_formats.any_range),
        "target_tags": _formats.tags,
    }
    options = {
        "name": {"type": "str", "required": True},
        "network": {"type": "str"},
        "description": {"type": "str"},
        "direction": {"type": "str", "choices": ["INGRESS", "EGRESS"], "default": "INGRESS"},
        "priority": {"type": "int"},
        "disabled": {"type": "bool"},
        "allowed": _PROTOCOLS,
        "denied": _PROTOCOLS,
        "source_ranges": _STRINGS,
        "destination_ranges": _STRINGS,
        "source_tags": _STRINGS,
        "source_service_accounts": _STRINGS,
        "target_tags": _STRINGS,
        "target_service_accounts": _STRINGS,
    }
    fields = {
        "network": Field(immutable=True, link="projects/{project}/global/networks/{}"),
        "direction": Field(),
        "description": Field(),
        "priority": Field(),
        "disabled": Field(),
        "allowed": Field(unordered=True, exact=True, names=_NAMES, convert="protocols"),
        "denied": Field(unordered=True, exact=True, names=_NAMES, convert="protocols"),
        "source_ranges": Field(unordered=True, convert="ranges"),
        "destination_ranges": Field(unordered=True, convert="ranges"),
        "source_tags": Field(unordered=True),
        "source_service_accounts": Field(unordered=True),
        "target_tags": Field(unordered=True),
        "target_service_accounts": Field(unordered=True),
    }

    def protocols(self, value: list[Json]) -> list[Json]:
        """Return the protocols in lower case, as the API returns them."""
        return [{**item, "IPProtocol": item["IPProtocol"].lower()} for item in value]

    def ranges(self, value: list[str]) -> list[str]:
        """Return the ranges in the API's spelling: an address without a prefix gets /32 or /128."""
        return [_network(item) for item in value]

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Patch the rule, or replace the rule to change its direction."""
        if "direction" in body:  # a rule holds no data, so nothing is lost
            self.delete(current)
            self.create({"name": self.params["name"], **self.document(self.desired())})
            return
        for action, other in (("allowed", "denied"), ("denied", "allowed")):
            if action in body and current.get(other):  # a rule with both is refused
                body = {**body, other: []}
        super().patch(body, current, paths)

    def check_create(self) -> None:
        """Refuse a rule that is open to the internet by accident."""
        self._refuse_open({})

    def check(self, current: Json) -> None:
        """Refuse a rule that is open to the internet by accident."""
        if self.params["state"] == "present":
            self._refuse_open(current)

    def _refuse_open(self, current: Json) -> None:
        # Without a source the API sets 0.0.0.0/0: an empty list would open the rule to the internet.
        left = (
            self.params[key] if self.params[key] is not None else self.current_value(key, current) for key in _SOURCES
        )
        if self.params["direction"] == "INGRESS" and not any(left):
            raise RefusedError(
                f"{self.title} has no source, which Google reads as 0.0.0.0/0, the whole internet. Set source_ranges "
                "(0.0.0.0/0 opens the rule to the internet), source_tags or source_service_accounts, or delete the "
                "rule (state: absent)."
            )


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        return text  # the API reports an invalid range best


def main() -> None:
    """Run the module."""
    run(
        FirewallRule,
        required_if=[("state", "present", ["network"]), ("state", "present", ["allowed", "denied"], True)],
        mutually_exclusive=[("allowed", "denied")],
    )


if __name__ == "__main__":
    main()
