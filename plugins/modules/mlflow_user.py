#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_user
short_description: Manage a user of an MLflow server
version_added: 0.1.0
description:
  - Creates, changes and deletes a user of an MLflow server, and assigns roles to the user.
  - To compare the password, the module sends one request as the user. It changes the password only if MLflow refuses
    this request.
  - Works with MLflow 2.22 or newer. O(roles) needs MLflow 3.12 or newer.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.mlflow
  - mlops.mlflow_gcp.mlflow.state
options:
  name:
    description: Name of the user, without a colon.
    type: str
    required: true
  password:
    description:
      - Password of the user. MLflow requires at least 12 characters.
      - Required to create a user.
    type: str
  update_password:
    description:
      - V(always) changes the password if it differs.
      - V(on_create) sets the password only for a new user, so users can change their passwords.
    type: str
    default: always
    choices: [always, on_create]
  is_admin:
    description: Whether the user is an administrator, who has all permissions.
    type: bool
  roles:
    description:
      - Names of the user's roles in O(workspace). Replaces the existing roles. An empty list removes all roles.
      - A role must exist before it is assigned. Create roles with M(mlops.mlflow_gcp.mlflow_role).
      - The permissions of M(mlops.mlflow_gcp.mlflow_permission) remain.
    type: list
    elements: str
notes:
  - If the server caches passwords (C(auth_cache_ttl_seconds)), a replaced password is valid until its entry expires. A
    task that sets an old password again within this time finds no difference.
seealso:
  - module: mlops.mlflow_gcp.mlflow_role
  - module: mlops.mlflow_gcp.mlflow_permission
"""

EXAMPLES = r"""
- name: Manage the users of an MLflow server
  hosts: localhost
  module_defaults:
    group/mlops.mlflow_gcp.mlflow:
      tracking_uri: https://mlflow.example.com
      tracking_username: admin
      tracking_password: "{{ vault_mlflow_admin_password }}"
  tasks:
    - name: Create a user with two roles
      mlops.mlflow_gcp.mlflow_user:
        name: alice
        password: "{{ vault_mlflow_alice_password }}"
        roles: [readers, churn-team]

    - name: Create a user who chooses the password
      mlops.mlflow_gcp.mlflow_user:
        name: bob
        password: "{{ vault_mlflow_first_password }}"
        update_password: on_create

    - name: Delete a user
      mlops.mlflow_gcp.mlflow_user:
        name: carol
        state: absent
"""

RETURN = r"""
resource:
  description: The user. Null with O(state=absent). Contains C(roles) only if O(roles) is set.
  returned: success
  type: dict
  sample:
    id: 7
    username: alice
    is_admin: false
    roles: [churn-team, readers]
"""

from typing import Any

from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._mlflow_client import V2, V3, basic
from ..module_utils._mlflow_grants import is_hidden_role
from ..module_utils._mlflow_module import MlflowResource, run_mlflow


class Found(dict[str, Any]):
    """A user as MLflow returns it, with the result of the password check as an attribute outside the document."""

    password_is_correct = True


class User(MlflowResource):
    """Manage the users of MLflow, their passwords and their roles."""

    kind = "user"
    create_body = {"username": "{name}"}
    options = {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "no_log": True},
        "update_password": {
            "type": "str",
            "default": "always",
            "choices": ["always", "on_create"],
            "no_log": False,
        },
        "is_admin": {"type": "bool"},
        "roles": {"type": "list", "elements": "str"},
    }
    fields = {
        "password": Field(via="set_password"),
        "is_admin": Field(at="is_admin", via="set_admin", create=False),
        "roles": Field(unordered=True, via="set_roles", create=False),
    }

    def read(self) -> Json | None:
        """Return the user, its roles if the option is set, and whether the password is correct."""
        name = self.params["name"]
        if ":" in name:
            raise RefusedError(f"The name of {self.title} must not contain a colon, because no such user can log in.")
        if self.params["password"] == "":
            raise RefusedError(f"The password of {self.title} must not be empty.")
        answer = self.server.find(f"{V2}/users/get", username=name)
        if answer is None:
            return None
        user = answer["user"]
        found = Found(id=user["id"], username=user["username"], is_admin=bool(user["is_admin"]))
        present = self.params["state"] == "present"
        if present and self.params["roles"] is not None:
            roles = self.server.get(f"{V3}/users/roles/list", username=name)["roles"]
            found["roles"] = sorted(role["name"] for role in roles if self._is_managed(role))
        policy = self.params["update_password"]
        if present and self.params["password"] and policy == "always":
            found.password_is_correct = self.server.accepts(name, self.params["password"])
        return found

    def _is_managed(self, role: Json) -> bool:
        return role["workspace"] == self.params["workspace"] and not is_hidden_role(role["name"])

    def check(self, current: Json) -> None:
        """Refuse changes with which the user of the connection would lock itself out."""
        if self.params["name"] != self.params["tracking_username"]:
            return
        absent = self.params["state"] == "absent"
        if absent or (self.params["is_admin"] is False and current["is_admin"]):
            change = "delete" if absent else "demote"
            raise RefusedError(
                f"Cannot {change} {self.title}, because it is the user of the connection (tracking_username). Use "
                "another administrator."
            )

    def check_create(self) -> None:
        """Require a password for a new user."""
        if not self.params["password"]:
            raise RefusedError(f"Cannot create {self.title} without a password. Set the option password.")

    def differs(self, option: str, value: Any, current: Json) -> bool:
        """Compare a password by its check."""
        if option == "password":
            return not current.password_is_correct if isinstance(current, Found) else False
        return super().differs(option, value, current)

    def create(self, body: Json) -> None:
        """Create the user with its password."""
        self.server.request("POST", f"{V2}/users/create", body)

    def set_password(self, body: Json, current: Json) -> None:
        """Change the password. A user who changes its own password must send the current password."""
        name, password = self.params["name"], body["password"]
        own = name == self.params["tracking_username"]
        proof = {"current_password": self.params["tracking_password"]} if own else {}
        self.server.request("PATCH", f"{V2}/users/update-password", {"username": name, "password": password, **proof})
        if own:
            self.server.credentials = basic(name, password)

    def set_admin(self, body: Json, current: Json) -> None:
        """Make the user an administrator, or remove this status."""
        self.server.request("PATCH", f"{V2}/users/update-admin", {"username": self.params["name"], **body})

    def set_roles(self, body: Json, current: Json) -> None:
        """Assign the missing roles, then remove the others, so that the user keeps its access during the change."""
        desired, existing = set(body["roles"]), set(current["roles"])
        roles = self.server.get(f"{V3}/roles/list", workspace=self.params["workspace"])["roles"]
        ids = {role["name"]: role["id"] for role in roles if self._is_managed(role)}
        unknown = sorted(desired - ids.keys())
        if unknown:
            raise RefusedError(
                f"Cannot assign roles to {self.title}: the workspace {self.params['workspace']} has no role "
                f"{', '.join(unknown)}. Create it with mlflow_role first."
            )
        for name in sorted(desired - existing):
            self.server.request("POST", f"{V3}/roles/assign", {"username": self.params["name"], "role_id": ids[name]})
        for name in sorted(existing - desired):
            body = {"username": self.params["name"], "role_id": ids[name]}
            self.server.remove("DELETE", f"{V3}/roles/unassign", body)

    def delete(self, current: Json) -> None:
        """Delete the user with its permissions."""
        self.server.request("DELETE", f"{V2}/users/delete", {"username": self.params["name"]})


def main() -> None:
    """Run the module."""
    run_mlflow(User)


if __name__ == "__main__":
    main()
