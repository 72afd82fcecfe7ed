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
  - A range, tag or port dropped from a list is closed by the next run.
  - An ingress rule that names no source would be open to the whole internet, since this is how the service reads it.
    It is refused; write V(0.0.0.0/0) where that is meant.
  - Google cannot change the direction of a rule. The rule is deleted and created again then; it has no effect for some
    seconds.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: The rule's name.
    type: str
    required: true
  network:
    description:
      - The network's name, or its link.
      - Needed with O(state=present). Cannot be changed after creation.
    type: str
  description:
    description: A text for people.
    type: str
  direction:
    description: Which traffic it is about.
    type: str
    choices: [INGRESS, EGRESS]
    default: INGRESS
  priority:
    description: From 0 to 65535; the lowest number wins. Google's default is 1000.
    type: int
  disabled:
    description: Whether the rule is kept but has no effect.
    type: bool
  allowed:
    description:
      - What it lets through. One of O(allowed) and O(denied) is needed with O(state=present).
    type: list
    elements: dict
    suboptions: &protocols
      ip_protocol:
        description: V(tcp), V(udp), V(icmp), V(esp), V(ah), V(sctp), V(ipip), V(all), or a protocol's number.
        type: str
        required: true
      ports:
        description: Ports such as V(443) and ranges such as V(8000-8999); all ports where it is not set.
        type: list
        elements: str
  denied:
    description: What it holds back.
    type: list
    elements: dict
    suboptions: *protocols
  source_ranges:
    description:
      - Ranges in CIDR form from which traffic comes; an address alone means that address.
    type: list
    elements: str
  destination_ranges:
    description: Ranges in CIDR form to which traffic goes.
    type: list
    elements: str
  source_tags:
    description: Network tags of the machines from which traffic comes.
    type: list
    elements: str
  source_service_accounts:
    description: E-mail addresses of the service accounts of the machines from which traffic comes.
    type: list
    elements: str
  target_tags:
    description: Network tags of the machines it is for. All machines of the network where no target is set.
    type: list
    elements: str
  target_service_accounts:
    description: E-mail addresses of the service accounts of the machines it is for.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: HTTPS from everywhere to the machines with a tag
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

- name: No way in by SSH
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
from ..module_utils._fields import Field
from ..module_utils._resource import RefusedError, Resource, run

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
    """compute.firewalls."""

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
        """Protocols come back in small letters."""
        return [{**item, "IPProtocol": item["IPProtocol"].lower()} for item in value]

    def ranges(self, value: list[str]) -> list[str]:
        """Ranges as the service spells them: an address alone gets its /32 or /128."""
        return [_network(item) for item in value]

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Change what can be changed; replace the rule for the rest."""
        if "direction" in body:  # a rule holds no data, so nothing is lost
            self.delete(current)
            self.create({"name": self.params["name"], **self.document(self.wanted())})
            return
        for action, other in (("allowed", "denied"), ("denied", "allowed")):
            if action in body and current.get(other):  # a rule with both is refused
                body = {**body, other: []}
        super().patch(body, current, paths)

    def check_create(self) -> None:
        """See _refuse_open."""
        self._refuse_open({})

    def check(self, current: Json) -> None:
        """See _refuse_open."""
        if self.params["state"] == "present":
            self._refuse_open(current)

    def _refuse_open(self, current: Json) -> None:
        # Without any source the service puts 0.0.0.0/0: a list that happens to be empty would open the door wide.
        left = (self.params[key] if self.params[key] is not None else self.has(key, current) for key in _SOURCES)
        if self.params["direction"] == "INGRESS" and not any(left):
            raise RefusedError(
                f"{self.title} names no source, which Google reads as 0.0.0.0/0, the whole internet. Set source_ranges "
                "(to 0.0.0.0/0 if you mean it), source_tags or source_service_accounts, or remove the rule "
                "(state: absent)."
            )


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        return text  # the service says best what is wrong with it


def main() -> None:
    """Entry point."""
    run(
        FirewallRule,
        required_if=[("state", "present", ["network"]), ("state", "present", ["allowed", "denied"], True)],
        mutually_exclusive=[("allowed", "denied")],
    )


if __name__ == "__main__":
    main()
