#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_dns_zone
short_description: Manage a managed zone of Cloud DNS
version_added: 0.1.0
description:
  - Creates, updates and deletes a managed zone of Cloud DNS. New zones are public.
  - A domain uses the zone when its registrar, or the parent zone, has NS records with the zone's name servers.
  - Google refuses to delete a zone that has other record sets than its own NS and SOA.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the managed zone in the project, such as V(example-com).
    type: str
    required: true
  dns_name:
    description:
      - DNS name of the zone, such as V(example.com). A trailing dot and the case of letters have no meaning.
      - Needed with O(state=present). Cannot be changed after creation.
    type: str
  description:
    description: Free text. Google requires one, so a new zone without O(description) gets a text with O(dns_name).
    type: str
  labels:
    description: Labels. Replaces the existing map.
    type: dict
  dnssec_config:
    description: DNSSEC of the zone.
    type: dict
    suboptions:
      state:
        description:
          - V(on) signs the zone. V(transfer) is for the move of a signed zone from or to another operator.
          - Google's default is V(off).
        type: str
        required: true
        choices: ["off", "on", transfer]
"""

EXAMPLES = r"""
- name: Create a managed zone
  mlops.mlflow_gcp.gcp_dns_zone:
    project: my-project
    name: example-com
    dns_name: example.com
    labels:
      app: mlflow
    dnssec_config:
      state: "on"
  register: zone

- name: Show the name servers for the registrar of the domain
  ansible.builtin.debug:
    msg: "{{ zone.resource.nameServers | default('not known in check mode') }}"

- name: Delete a managed zone
  mlops.mlflow_gcp.gcp_dns_zone:
    project: my-project
    name: example-com
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The managed zone as the API returns it, U(https://cloud.google.com/dns/docs/reference/rest/v1/managedZones).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: example-com
    dnsName: example.com.
    visibility: public
    nameServers:
      - ns-cloud-a1.googledomains.com.
      - ns-cloud-a2.googledomains.com.
      - ns-cloud-a3.googledomains.com.
      - ns-cloud-a4.googledomains.com.
"""

from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._dns import absolute
from ..module_utils._fields import Field, merged
from ..module_utils._module import run
from ..module_utils._resource import Resource


class DnsZone(Resource):
    """Manage dns.managedZones."""

    api = "dns"
    kind = "managed zone"
    collection = "projects/{project}/managedZones"
    create_body = {"name": "{name}", "description": "DNS zone {dns_name}"}
    formats = {"name": _formats.name, "dns_name": _formats.dns_name, "labels": _formats.labels}
    options = {
        "name": {"type": "str", "required": True},
        "dns_name": {"type": "str"},
        "description": {"type": "str"},
        "labels": {"type": "dict"},
        "dnssec_config": {
            "type": "dict",
            "options": {"state": {"type": "str", "required": True, "choices": ["off", "on", "transfer"]}},
        },
    }
    fields = {
        "dns_name": Field(immutable=True, convert="absolute"),
        "description": Field(),
        "labels": Field(via="replace_labels"),
        "dnssec_config": Field(),
    }

    def absolute(self, value: str) -> str:
        """Return a DNS name as the API returns it."""
        return absolute(value)

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value of an option. DNS names are compared without case."""
        has = super().current_value(option, current)
        return absolute(has) if option == "dns_name" and has else has

    def replace_labels(self, body: Json, current: Json) -> None:
        """Replace the labels with an update of the whole zone, as gcloud does: a patch keeps removed labels."""
        self.call("PUT", self.self_path, {**current, "labels": merged(current.get("labels"), body["labels"])})

    def explain(self, error: GoogleError) -> str:
        """Return the remedy for a zone that is not empty."""
        if error.reason != "containerNotEmpty":
            return ""
        name, project = self.params["name"], self.params["project"]
        return (
            f"Delete the record sets of the zone first; `gcloud dns record-sets list --zone={name} "
            f"--project={project}` lists them. Google deletes the NS and SOA sets of the zone's own name itself."
        )


def main() -> None:
    """Run the module."""
    run(DnsZone, required_if=[("state", "present", ["dns_name"])])


if __name__ == "__main__":
    main()
