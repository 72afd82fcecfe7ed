#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_secrets_info
short_description: List secrets of a project
version_added: 0.1.0
description:
  - Lists the secrets of Google Secret Manager that have some labels. Does not read their payloads.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
  - mlops.mlflow_gcp.gcp
options:
  labels:
    description: Labels that a secret must have, with these values.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: List the secrets of a deployment
  mlops.mlflow_gcp.gcp_secrets_info:
    project: my-project
    labels:
      mlflow-deployment: mlflow
  register: found
"""

RETURN = r"""
names:
  description: IDs of the secrets, sorted. Empty if the project has not enabled the Secret Manager API.
  returned: success
  type: list
  elements: str
  sample: [mlflow-admin-password, mlflow-user-alice]
"""

from ..module_utils import _formats
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError


class Secrets(Action):
    """List secretmanager.projects.secrets."""

    api = "secretmanager"
    doing = "list the secrets"
    formats = {"labels": _formats.labels}
    options = {"labels": {"type": "dict", "required": True}}

    def look(self) -> Plan:
        """List the secrets."""
        terms = [f"labels.{key}={value}" for key, value in sorted(self.params["labels"].items())]
        query = {"filter": " AND ".join(terms)}
        try:
            found = list(self.client.items(self.api, self.fill("v1/projects/{project}/secrets"), "secrets", query))
        except GoogleError as error:
            if not error.service_disabled:
                raise
            found = []
        return Plan(False, {"names": sorted(str(secret["name"]).rsplit("/", 1)[1] for secret in found)})


def main() -> None:
    """Run the module."""
    run_action(Secrets)


if __name__ == "__main__":
    main()
