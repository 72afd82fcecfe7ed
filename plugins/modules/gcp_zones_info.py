#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_zones_info
short_description: List the zones of Google Compute Engine
version_added: 0.1.0
description:
  - Lists the zones that a project can use.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
  - mlops.mlflow_gcp.gcp
"""

EXAMPLES = r"""
- name: List the zones
  mlops.mlflow_gcp.gcp_zones_info:
    project: my-project
  register: google
"""

RETURN = r"""
zones:
  description: Names of the zones, sorted. Null if the project has not enabled the Compute Engine API.
  returned: success
  type: list
  elements: str
  sample: [europe-west1-b, europe-west1-c, europe-west1-d]
"""

from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError


class Zones(Action):
    """List compute.zones."""

    doing = "list the zones"

    def look(self) -> Plan:
        """List the zones."""
        path = self.fill("projects/{project}/zones")
        try:
            found = list(self.client.items(self.api, path))
        except GoogleError as error:
            if not error.service_disabled:
                raise
            return Plan(False, {"zones": None})
        return Plan(False, {"zones": sorted(zone["name"] for zone in found)})


def main() -> None:
    """Run the module."""
    run_action(Zones)


if __name__ == "__main__":
    main()
