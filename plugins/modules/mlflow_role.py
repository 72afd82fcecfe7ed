#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_role
short_description: Manage a role of an MLflow server
version_added: 0.1.0
description:
  - Creates, changes and deletes a role of an MLflow server with its permissions.
  - To assign a role to users, use the option O(mlops.mlflow_gcp.mlflow_user#module:roles).
  - Needs MLflow 3.12 or newer.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.mlflow
  - mlops.mlflow_gcp.mlflow.state
options:
  name:
    description: Name of the role. Names that begin with C(__user_) belong to MLflow.
    type: str
    required: true
  description:
    description: Description of the role.
    type: str
  permissions:
    description:
      - Permissions of the role. Replaces the existing permissions. An empty list removes all permissions.
    type: list
    elements: dict
    suboptions:
      resource_type:
        description:
          - Type of the objects.
          - V(workspace) controls the membership in the workspace. It accepts V(USE) (use the workspace, create objects)
            and V(MANAGE) (also manage its roles).
          - V(run) and the following types are parts of an object. They need MLflow 3.17 or newer.
        type: str
        required: true
        choices:
          - experiment
          - registered_model
          - prompt
          - scorer
          - gateway_secret
          - gateway_endpoint
          - gateway_model_definition
          - mcp_server
          - run
          - trace
          - assessment
          - logged_model
          - review_queue
          - registered_model_version
          - prompt_version
          - scorer_version
          - mcp_server_version
          - workspace
      resource_pattern:
        description:
          - ID of an experiment or of an object of the gateway, or name of a model, prompt or MCP server. A scorer is
            C(EXPERIMENT_ID/NAME).
          - V(*) stands for all objects of this type. The workspace and the parts of an object accept only V(*).
        type: str
      experiment_name:
        description: Name of an experiment, in place of its ID. The experiment must exist.
        type: str
      permission:
        description:
          - The permission. V(DENY) refuses access even if another role allows it. It needs MLflow 3.17 or newer.
        type: str
        required: true
        choices: [READ, USE, EDIT, MANAGE, DENY]
seealso:
  - module: mlops.mlflow_gcp.mlflow_user
  - module: mlops.mlflow_gcp.mlflow_permission
"""

EXAMPLES = r"""
- name: Create a role that reads all experiments and models
  mlops.mlflow_gcp.mlflow_role:
    tracking_uri: https://mlflow.example.com
    tracking_username: admin
    tracking_password: "{{ vault_mlflow_admin_password }}"
    name: readers
    description: Read all experiments and models
    permissions:
      - resource_type: experiment
        resource_pattern: "*"
        permission: READ
      - resource_type: registered_model
        resource_pattern: "*"
        permission: READ

- name: Create a role that edits one experiment
  mlops.mlflow_gcp.mlflow_role:
    tracking_uri: https://mlflow.example.com
    tracking_username: admin
    tracking_password: "{{ vault_mlflow_admin_password }}"
    name: churn-team
    permissions:
      - resource_type: experiment
        experiment_name: churn
        permission: EDIT

- name: Delete a role
  mlops.mlflow_gcp.mlflow_role:
    tracking_uri: https://mlflow.example.com
    tracking_username: admin
    tracking_password: "{{ vault_mlflow_admin_password }}"
    name: interns
    state: absent
"""

RETURN = r"""
resource:
  description: The role. Null with O(state=absent).
  returned: success
  type: dict
  sample:
    id: 3
    name: readers
    workspace: default
    description: Read all experiments and models
    permissions:
      - id: 11
        role_id: 3
        resource_type: experiment
        resource_pattern: "*"
        permission: READ
"""

from collections.abc import Sequence
from typing import Any

from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._mlflow_client import V3
from ..module_utils._mlflow_grants import OBJECT_TYPES, PART_TYPES, PERMISSIONS, WORKSPACE, is_hidden_role, wrong_grant
from ..module_utils._mlflow_module import MlflowResource, run_mlflow

SUBOPTIONS = {
    "resource_type": {"type": "str", "required": True, "choices": [*OBJECT_TYPES, *PART_TYPES, WORKSPACE]},
    "resource_pattern": {"type": "str"},
    "experiment_name": {"type": "str"},
    "permission": {"type": "str", "required": True, "choices": list(PERMISSIONS)},
}


class Role(MlflowResource):
    """Manage the roles of MLflow and their permissions."""

    kind = "role"
    create_body = {"name": "{name}", "workspace": "{workspace}"}
    options = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "permissions": {
            "type": "list",
            "elements": "dict",
            "options": SUBOPTIONS,
            "mutually_exclusive": [("resource_pattern", "experiment_name")],
            "required_one_of": [("resource_pattern", "experiment_name")],
        },
    }
    fields = {
        "description": Field(),
        "permissions": Field(
            unordered=True,
            via="set_permissions",
            convert="resolved",
            create=False,
            names={name: name for name in SUBOPTIONS},
        ),
    }

    def resolved(self, permissions: list[Json]) -> list[Json]:
        """Return permissions in the API's form, with the IDs of experiments. Refuse invalid permissions."""
        if self.params["state"] == "absent":
            return []
        found: dict[tuple[str, str], str] = {}
        for entry in permissions:
            kind, permission = entry["resource_type"], entry["permission"]
            pattern = entry["resource_pattern"] if "resource_pattern" in entry else self._experiment(entry)
            wrong = wrong_grant(kind, pattern, permission)
            if wrong:
                raise RefusedError(f"Cannot set the permissions of {self.title}: {wrong}.")
            if found.setdefault((kind, pattern), permission) != permission:
                both = f"{found[kind, pattern]} and {permission}"
                raise RefusedError(f"{self.title} has two permissions on {kind} {pattern}: {both}. Remove one of them.")
        return [
            {"resource_type": kind, "resource_pattern": pattern, "permission": permission}
            for (kind, pattern), permission in sorted(found.items())
        ]

    def _experiment(self, entry: Json) -> str:
        name = entry["experiment_name"]
        if entry["resource_type"] != "experiment":
            raise RefusedError(
                f"Cannot set the permissions of {self.title}: experiment_name ({name}) is not possible with "
                f"resource_type {entry['resource_type']}. Set resource_pattern."
            )
        found = self.experiment_id(name)
        if found is None:
            raise RefusedError(f"Cannot set the permissions of {self.title}: there is no experiment {name}. Create it.")
        return found

    def read(self) -> Json | None:
        """Return the role with its permissions."""
        if is_hidden_role(self.params["name"]):
            raise RefusedError(f"{self.title} belongs to MLflow. Use mlflow_permission for the permissions of a user.")
        roles = self.server.get(f"{V3}/roles/list", workspace=self.params["workspace"])["roles"]
        return next((role for role in roles if role["name"] == self.params["name"]), None)

    def current_value(self, option: str, current: Json) -> Any:
        """Return the permissions without their numbers."""
        if option != "permissions":
            return super().current_value(option, current)
        keys = ("resource_type", "resource_pattern", "permission")
        found = [{key: entry[key] for key in keys} for entry in current["permissions"]]
        return sorted(found, key=lambda entry: (entry["resource_type"], entry["resource_pattern"]))

    def create(self, body: Json) -> None:
        """Create the role without permissions."""
        self.server.request("POST", f"{V3}/roles/create", body)

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Update the description."""
        self.server.request("PATCH", f"{V3}/roles/update", {"role_id": current["id"], **body})

    def set_permissions(self, body: Json, current: Json) -> None:
        """Add the missing permissions, update the others, and remove the rest at the end."""
        existing = {(entry["resource_type"], entry["resource_pattern"]): entry for entry in current["permissions"]}
        for entry in body["permissions"]:
            has = existing.pop((entry["resource_type"], entry["resource_pattern"]), None)
            if has is None:
                self.server.request("POST", f"{V3}/roles/permissions/add", {"role_id": current["id"], **entry})
            elif has["permission"] != entry["permission"]:
                change = {"role_permission_id": has["id"], "permission": entry["permission"]}
                self.server.request("PATCH", f"{V3}/roles/permissions/update", change)
        for entry in existing.values():
            gone = {"role_permission_id": entry["id"]}
            self.server.remove("DELETE", f"{V3}/roles/permissions/remove", gone)

    def delete(self, current: Json) -> None:
        """Delete the role, its permissions and its assignments."""
        self.server.request("DELETE", f"{V3}/roles/delete", {"role_id": current["id"]})


def main() -> None:
    """Run the module."""
    run_mlflow(Role)


if __name__ == "__main__":
    main()
