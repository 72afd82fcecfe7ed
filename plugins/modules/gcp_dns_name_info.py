#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_dns_name_info
short_description: Read a managed zone of Cloud DNS and the record sets of one name
version_added: 0.1.0
description:
  - Reads a managed zone of Cloud DNS, and all record sets of one name in the zone.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.dns
"""

EXAMPLES = r"""
- name: Read the records of a name
  mlops.mlflow_gcp.gcp_dns_name_info:
    project: my-project
    zone: example-com
    name: mlflow.example.com
  register: found
"""

RETURN = r"""
api_enabled:
  description: Whether O(project) has enabled the Cloud DNS API. If not, nothing else is known.
  returned: success
  type: bool
  sample: true
zone:
  description: >-
    The managed zone as the API returns it, U(https://cloud.google.com/dns/docs/reference/rest/v1/managedZones).
    Null if the project has no such zone, or has not enabled the API.
  returned: success
  type: dict
  sample:
    name: example-com
    dnsName: example.com.
    visibility: public
in_zone:
  description: Whether O(name) is the DNS name of the zone or below it.
  returned: success
  type: bool
  sample: true
record_sets:
  description: Record sets of O(name). Empty if the name is not in the zone.
  returned: success
  type: list
  elements: dict
  sample:
    - name: mlflow.example.com.
      type: A
      ttl: 300
      rrdatas: [198.51.100.7]
"""

from ..module_utils import _formats
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError
from ..module_utils._dns import absolute, forbidden, inside


class Name(Action):
    """Get dns.managedZones and list dns.resourceRecordSets."""

    api = "dns"
    doing = "read managed zone {zone} and the records of {name}"
    formats = {"zone": _formats.name, "name": _formats.dns_name}
    options = {"zone": {"type": "str", "required": True}, "name": {"type": "str", "required": True}}

    def look(self) -> Plan:
        """Read the zone, then the record sets of the name."""
        path, name = self.fill("projects/{project}/managedZones/{zone}"), absolute(self.params["name"])
        try:
            zone = self.client.find(self.api, path)
        except GoogleError as error:
            if not error.service_disabled:
                raise
            return Plan(False, {"api_enabled": False, "zone": None, "in_zone": False, "record_sets": []})
        in_zone = zone is not None and inside(name, zone["dnsName"])
        found = self.client.items(self.api, f"{path}/rrsets", "rrsets", {"name": name}) if in_zone else ()
        return Plan(False, {"api_enabled": True, "zone": zone, "in_zone": in_zone, "record_sets": list(found)})

    def explain(self, error: GoogleError) -> str:
        """Return the least role that is needed. Google's answer may be the same for a missing zone."""
        return forbidden(error, self.params["zone"], self.params["project"])


def main() -> None:
    """Run the module."""
    run_action(Name)


if __name__ == "__main__":
    main()
