#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_database
short_description: Manage a database of a Cloud SQL instance
version_added: 0.1.0
description:
  - Creates and deletes a database of a Cloud SQL instance.
  - In check mode, the database of an instance that does not exist yet is planned.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.sql
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  instance:
    description: Name of the instance.
    type: str
    required: true
  name:
    description: Name of the database.
    type: str
    required: true
  charset:
    description: Character set, such as V(UTF8). Cannot be changed after creation.
    type: str
  collation:
    description: Collation, such as V(en_US.UTF8). Cannot be changed after creation.
    type: str
"""

EXAMPLES = r"""
- name: Create a database
  mlops.mlflow_gcp.gcp_sql_database:
    project: my-project
    instance: mlflow-database
    name: mlflow
    charset: UTF8
"""

RETURN = r"""
resource:
  description: >-
    The database as the API returns it, U(https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/databases).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow
    instance: mlflow-database
    charset: UTF8
    collation: en_US.UTF8
"""

from ..module_utils import _formats
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource
from ..module_utils._sql import OfInstance, timeout


class SqlDatabase(OfInstance, Resource):
    """Manage sql.databases."""

    api = "sql"
    kind = "database"
    collection = "v1/projects/{project}/instances/{instance}/databases"
    create_body = {"project": "{project}", "instance": "{instance}", "name": "{name}"}
    formats = {"instance": _formats.sql_instance, "name": _formats.sql_name}
    options = {
        **timeout(),
        "instance": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "charset": {"type": "str"},
        "collation": {"type": "str"},
    }
    fields = {"charset": Field(immutable=True), "collation": Field(immutable=True)}

    @property
    def title(self) -> str:
        """Return the database and its instance."""
        return f"{self.kind} {self.params['name']} of Cloud SQL instance {self.params['instance']}"


def main() -> None:
    """Run the module."""
    run(SqlDatabase)


if __name__ == "__main__":
    main()
