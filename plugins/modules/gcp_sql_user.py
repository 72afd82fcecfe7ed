#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_user
short_description: Manage a user of a Cloud SQL instance
version_added: 0.1.0
description:
  - Creates and deletes a user of a Cloud SQL instance, and sets its password.
  - Cloud SQL does not return passwords, so the module cannot compare them. See O(update_password).
  - In check mode, the user of an instance that does not exist yet is planned.
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
    description: Name of the user.
    type: str
    required: true
  host:
    description: Host from which a MySQL user connects. PostgreSQL users have no host.
    type: str
  type:
    description: Authentication type of the user. Cannot be changed after creation.
    type: str
    choices: [BUILT_IN, CLOUD_IAM_USER, CLOUD_IAM_SERVICE_ACCOUNT, CLOUD_IAM_GROUP]
  password:
    description: Password of the user.
    type: str
  update_password:
    description:
      - V(on_create) sets the password of a new user only.
      - V(always) sets the password in every run and always reports a change.
    type: str
    default: on_create
    choices: [on_create, always]
"""

EXAMPLES = r"""
- name: Create a user with a password
  mlops.mlflow_gcp.gcp_sql_user:
    project: my-project
    instance: mlflow-database
    name: mlflow
    password: "{{ lookup('ansible.builtin.password', '/dev/null', length=40) }}"
"""

RETURN = r"""
resource:
  description: >-
    The user as the API returns it, U(https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/users).
    Null when absent. Never contains a password.
  returned: success
  type: dict
  sample:
    name: mlflow
    instance: mlflow-database
"""

from typing import Any

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource
from ..module_utils._sql import OfInstance, timeout


class SqlUser(OfInstance, Resource):
    """Manage sql.users."""

    api = "sql"
    kind = "user"
    collection = "v1/projects/{project}/instances/{instance}/users"
    create_body = {"project": "{project}", "instance": "{instance}", "name": "{name}"}
    formats = {"instance": _formats.sql_instance, "name": _formats.sql_name}
    options = {
        **timeout(),
        "instance": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "host": {"type": "str"},
        "type": {
            "type": "str",
            "choices": ["BUILT_IN", "CLOUD_IAM_USER", "CLOUD_IAM_SERVICE_ACCOUNT", "CLOUD_IAM_GROUP"],
        },
        "password": {"type": "str", "no_log": True},
        "update_password": {
            "type": "str",
            "default": "on_create",
            "choices": ["on_create", "always"],
            "no_log": False,
        },
    }
    fields = {
        "host": Field(),
        "type": Field(immutable=True),
        "password": Field(via="set_password"),
    }

    @property
    def title(self) -> str:
        """Return the user and its instance."""
        return f"{self.kind} {self.params['name']} of Cloud SQL instance {self.params['instance']}"

    def read(self) -> Json | None:
        """Return the user from the list: a name may contain an @, and MySQL users may differ only in the host."""
        path, host = self.fill(self.collection), self.params["host"]
        users = (self.client.find(self.api, path) or {}).get("items") or ()
        return next(
            (
                user
                for user in users
                if user.get("name") == self.params["name"] and (host is None or user.get("host", "") == host)
            ),
            None,
        )

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value. The API omits the type BUILT_IN."""
        return current.get("type") or "BUILT_IN" if option == "type" else super().current_value(option, current)

    def differs(self, option: str, value: Any, current: Json) -> bool:
        """Compare values. The password cannot be read, so ``update_password`` decides."""
        if option == "password":
            return "always" in self.params["update_password"]
        return super().differs(option, value, current)

    def set_password(self, body: Json, current: Json) -> None:
        """Set the password of an existing user. Like Google's clients, name the user in the query and the body."""
        names = {key: self.fill(value) for key, value in self.create_body.items()}
        self.call("PUT", self.fill(self.collection), names | self._key(current) | body, self._key(current))

    def delete(self, current: Json) -> None:
        """Delete the user. PostgreSQL refuses this while the user owns objects."""
        self.call("DELETE", self.fill(self.collection), None, self._key(current))

    def _key(self, current: Json) -> Json:
        return {"name": self.params["name"], **({"host": current["host"]} if current.get("host") else {})}


def main() -> None:
    """Run the module."""
    run(SqlUser)


if __name__ == "__main__":
    main()
