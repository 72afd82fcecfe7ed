#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_instance_info
short_description: Read a Cloud SQL instance and the certificate authorities of its server
version_added: 0.1.0
description:
  - Reads a Cloud SQL instance and the certificates of all certificate authorities that its clients must trust.
  - During a rotation the server has two or more certificate authorities. A client that trusts all of them can connect
    before and after the rotation.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
  - mlops.mlflow_gcp.gcp
options:
  name:
    description: Name of the instance.
    type: str
    required: true
  require_running:
    description: Whether to fail if the instance does not exist or does not run. The message has the start command.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Require that the database runs
  mlops.mlflow_gcp.gcp_sql_instance_info:
    project: my-project
    name: mlflow-database
    require_running: true

- name: Read the certificate authorities of the database server
  mlops.mlflow_gcp.gcp_sql_instance_info:
    project: my-project
    name: mlflow-database
  register: database
"""

RETURN = r"""
resource:
  description: >-
    The instance as the API returns it, U(https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/instances).
    Null if the instance does not exist.
  returned: success
  type: dict
  sample:
    name: mlflow-database
    state: RUNNABLE
    databaseVersion: POSTGRES_17
server_ca_bundle:
  description:
    - The certificates of the server's certificate authorities in PEM, the oldest first. They are not secret.
    - Null if the instance does not exist or has no certificate yet.
  returned: success
  type: str
  sample: |
    -----BEGIN CERTIFICATE-----
    MIIExample
    -----END CERTIFICATE-----
"""

from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError, Json
from ..module_utils._errors import RefusedError
from ..module_utils._sql import SITE, server_ca_bundle, why_not_running


class SqlInstanceInfo(Action):
    """Read sql.instances and their certificate authorities."""

    api = "sql"
    doing = "read Cloud SQL instance {name}"
    path = "v1/projects/{project}/instances/{name}"
    options = {
        "name": {"type": "str", "required": True},
        "require_running": {"type": "bool", "default": False},
    }

    def look(self) -> Plan:
        """Read the instance and its certificate authorities."""
        instance = self._instance()
        name, project = self.params["name"], self.params["project"]
        if self.params["require_running"]:
            if instance is None:
                raise RefusedError(
                    f"Cannot find Cloud SQL instance {name} in project {project}. Create it with {SITE}."
                )
            told = why_not_running(instance, project)
            if told:
                raise RefusedError(told)
        bundle = server_ca_bundle(self.client, instance, self.self_path)
        return Plan(False, {"resource": instance, "server_ca_bundle": bundle})

    def _instance(self) -> Json | None:
        try:
            return self.client.find(self.api, self.self_path)
        except GoogleError as error:
            if self.params["require_running"] or not error.service_disabled:
                raise
            return None


def main() -> None:
    """Run the module."""
    run_action(SqlInstanceInfo)


if __name__ == "__main__":
    main()
