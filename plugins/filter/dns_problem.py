# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The reason why Cloud DNS cannot hold the record of a deployment's host name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_problem
short_description: The reason why Cloud DNS cannot hold the record of a deployment's host name
version_added: 0.1.0
description:
  - Returns a sentence with the cause and the remedy, for the role P(mlops.mlflow_gcp.dns#role).
  - The A record of the host name belongs to the deployment if the deployment has written it (O(recorded)), or if it
    points to the address of the deployment. Other records that answer for the name have another owner.
options:
  _input:
    description: Result of M(mlops.mlflow_gcp.gcp_dns_name_info).
    type: dict
    required: true
  hostname:
    description: Host name of the deployment.
    type: str
  zone:
    description: Name of the managed zone.
    type: str
  project:
    description: Project of the managed zone.
    type: str
  address:
    description: Static address of the deployment. Empty if it is not reserved yet.
    type: str
  recorded:
    description: C(project), C(zone) and C(name) of the record that the deployment has written. Empty without one.
    type: dict
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the problem
  ansible.builtin.debug:
    msg: >-
      {{ found | mlops.mlflow_gcp.dns_problem(hostname='mlflow.example.com', zone='example-com', project='my-project',
                                              address='198.51.100.7', recorded={}) }}
"""

RETURN = r"""
_value:
  description: The problem. Empty if the record can be written, or if the project has not enabled Cloud DNS.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._dns import absolute

# Types that decide which server a client reaches. The server has no IPv6 address.
_ANSWERING = ("A", "AAAA", "ALIAS", "CNAME")


def dns_problem(
    found: Mapping[str, Any], *, hostname: str, zone: str, project: str, address: str, recorded: Mapping[str, str]
) -> str:
    """Return the problem, or an empty string."""
    if not found["api_enabled"]:
        return ""
    managed = found["zone"]
    if managed is None:
        return (
            f"dns_managed_zone is '{zone}', and project {project} (dns_project) has no such managed zone. Correct the"
            f" variables (`gcloud dns managed-zones list --project={project}` lists the zones), or leave"
            " dns_managed_zone empty and create the record by hand."
        )
    if managed.get("visibility") == "private":
        return (
            f"dns_managed_zone is '{zone}', which is a private zone: only VPC networks resolve its names. Set"
            f" dns_managed_zone to the public zone of {managed['dnsName']}, or leave it empty."
        )
    if not found["in_zone"]:
        domain = managed["dnsName"].rstrip(".")
        return (
            f"deployment_hostname is '{hostname}', which is not in managed zone {zone} (DNS name {domain}). Set"
            f" deployment_hostname to a name that ends with .{domain}, or dns_managed_zone to the zone of this name."
        )
    own = dict(recorded) == {"project": project, "zone": zone, "name": absolute(hostname)}
    for record_set in found["record_sets"]:
        kind, data = record_set["type"], record_set.get("rrdatas")
        if kind not in _ANSWERING or (kind == "A" and data and (own or data == [address])):
            continue
        shown = ", ".join(data) if data else "a routing policy"
        return (
            f"{hostname} has a record of type {kind} in managed zone {zone} that this deployment did not write:"
            f" {shown}. The name would get the address {address or 'that this run reserves'}. If the record is not"
            f" needed anymore, delete it: `gcloud dns record-sets delete {absolute(hostname)} --type={kind}"
            f" --zone={zone} --project={project}`. Otherwise choose another deployment_hostname."
        )
    return ""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"dns_problem": dns_problem}
