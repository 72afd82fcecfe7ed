#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_permission
short_description: Manage the permission of one user on an object of an MLflow server
version_added: 0.1.0
description:
  - Grants, changes and removes the direct permission of a user on an experiment, a model or another object.
  - Permissions of the user's roles remain, and so does the server's default permission. For permissions of several
    users, use M(mlops.mlflow_gcp.mlflow_role).
  - MLflow grants the permission V(MANAGE) to the creator of an object. The module can change and remove it.
  - Works with MLflow 2.22 or newer. Before MLflow 3.13, only V(experiment) and V(registered_model) are possible.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.mlflow
  - mlops.mlflow_gcp.mlflow.state
options:
  user:
    description: Name of the user, who must exist.
    type: str
    required: true
  resource_type:
    description:
      - Type of the object.
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
  resource_id:
    description:
      - ID of an experiment or of an object of the gateway, or name of a model, prompt or MCP server. A scorer is
        C(EXPERIMENT_ID/NAME).
      - V(*) stands for all objects of this type. Parts of an object accept only V(*).
    type: str
  experiment_name:
    description: Name of an experiment, in place of its ID. The experiment must exist.
    type: str
  permission:
    description:
      - The permission. Required with O(state=present).
      - V(DENY) refuses access even if a role allows it. It needs MLflow 3.17 or newer.
      - V(NO_PERMISSIONS) exists only before MLflow 3.13.
    type: str
    choices: [READ, USE, EDIT, MANAGE, DENY, NO_PERMISSIONS]
seealso:
  - module: mlops.mlflow_gcp.mlflow_role
  - module: mlops.mlflow_gcp.mlflow_user
"""

EXAMPLES = r"""
- name: Allow a user to edit an experiment
  mlops.mlflow_gcp.mlflow_permission:
    tracking_uri: https://mlflow.example.com
    tracking_username: admin
    tracking_password: "{{ vault_mlflow_admin_password }}"
    user: alice
    resource_type: experiment
    experiment_name: churn
    permission: EDIT

- name: Remove the permission on a model
  mlops.mlflow_gcp.mlflow_permission:
    tracking_uri: https://mlflow.example.com
    tracking_username: admin
    tracking_password: "{{ vault_mlflow_admin_password }}"
    user: alice
    resource_type: registered_model
    resource_id: churn-model
    state: absent
"""

RETURN = r"""
resource:
  description: The permission. Null with O(state=absent). C(id) is MLflow's number of the permission since MLflow 3.13.
  returned: success
  type: dict
  sample:
    id: 12
    user: alice
    resource_type: experiment
    resource_id: "4"
    permission: EDIT
"""

from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._mlflow_client import V2, V3
from ..module_utils._mlflow_grants import OBJECT_TYPES, PART_TYPES, PERMISSIONS, is_own_role, wrong_grant
from ..module_utils._mlflow_module import MlflowResource, run_mlflow

# Route, key of the object and key of the answer, before MLflow 3.13.
OLD_ROUTES = {
    "experiment": (f"{V2}/experiments/permissions", "experiment_id", "experiment_permission"),
    "registered_model": (f"{V2}/registered-models/permissions", "name", "registered_model_permission"),
}
OLD_PERMISSIONS = ("READ", "EDIT", "MANAGE", "NO_PERMISSIONS")


class Permission(MlflowResource):
    """Manage the direct permissions of users.

    Since MLflow 3.13 they are stored in a hidden role of the user. The route that grants a permission refuses to change
    it, so a change goes through the route of the roles, without a moment in which the user has no permission.
    """

    kind = "permission"
    create_body = {}
    options = {
        "user": {"type": "str", "required": True},
        "resource_type": {"type": "str", "required": True, "choices": [*OBJECT_TYPES, *PART_TYPES]},
        "resource_id": {"type": "str"},
        "experiment_name": {"type": "str"},
        "permission": {"type": "str", "choices": [*PERMISSIONS, "NO_PERMISSIONS"]},
    }
    fields = {"permission": Field()}
    target: str | None = None  # ID of the object
    old_api = False
    user_exists = True

    @property
    def title(self) -> str:
        """Return the user and the object."""
        what = self.params["resource_id"] or self.params["experiment_name"]
        return f"permission of user {self.params['user']} on {self.params['resource_type']} {what}"

    def read(self) -> Json | None:
        """Return the permission that the user has directly, not through a role."""
        self._check_options()
        self.old_api = self.server.version() < (3, 13)
        self._check_permission()
        self.target = self.params["resource_id"] or self.experiment_id(self.params["experiment_name"])
        if self.target is None and self.params["state"] == "present":
            raise RefusedError(f"Cannot set the {self.title}: the experiment does not exist. Create it first.")
        user = self.server.find(f"{V2}/users/get", username=self.params["user"])
        self.user_exists = user is not None
        if self.target is None or user is None:
            return None
        return self._read_old() if self.old_api else self._read_grant(int(user["user"]["id"]))

    def _check_options(self) -> None:
        kind, name = self.params["resource_type"], self.params["experiment_name"]
        if name is not None and kind != "experiment":
            raise RefusedError(
                f"experiment_name ({name}) is not possible with resource_type {kind}. Set resource_id instead."
            )
        if not (self.params["resource_id"] or name):
            raise RefusedError("resource_id or experiment_name must not be empty.")

    def _check_permission(self) -> None:
        kind, permission = self.params["resource_type"], self.params["permission"]
        if self.old_api:
            wrong = "" if kind in OLD_ROUTES else f"permissions on {kind} need MLflow 3.13 or newer"
            if not wrong and permission not in (None, *OLD_PERMISSIONS):
                wrong = f"{permission} needs MLflow 3.13 or newer; possible are {', '.join(OLD_PERMISSIONS)}"
        else:
            wrong = wrong_grant(kind, self.params["resource_id"] or "", permission or "READ")
        if wrong:
            raise RefusedError(f"Cannot set the {self.title}: {wrong}.")

    def _read_grant(self, user_id: int) -> Json | None:
        for role in self.server.get(f"{V3}/users/roles/list", username=self.params["user"])["roles"]:
            if role["workspace"] != self.params["workspace"] or not is_own_role(role["name"], user_id):
                continue
            for entry in role["permissions"]:
                if (entry["resource_type"], entry["resource_pattern"]) == (self.params["resource_type"], self.target):
                    return {"id": entry["id"], **self._document(entry["permission"])}
        return None

    def _read_old(self) -> Json | None:
        route, key, answer = OLD_ROUTES[self.params["resource_type"]]
        found = self.server.find(f"{route}/get", **{key: self.target, "username": self.params["user"]})
        return self._document(found[answer]["permission"]) if found else None

    def _document(self, permission: str) -> Json:
        names = {name: self.params[name] for name in ("user", "resource_type")}
        return {**names, "resource_id": self.target, "permission": permission}

    def _request(self) -> Json:
        if self.old_api:
            return {OLD_ROUTES[self.params["resource_type"]][1]: self.target, "username": self.params["user"]}
        return {
            "username": self.params["user"],
            "resource_type": self.params["resource_type"],
            "resource_id": self.target,
        }

    def _route(self, verb: str, old_verb: str) -> str:
        old = OLD_ROUTES.get(self.params["resource_type"])
        return f"{old[0]}/{old_verb}" if self.old_api and old else f"{V3}/users/permissions/{verb}"

    def create(self, body: Json) -> None:
        """Grant the permission."""
        if not self.user_exists:  # check mode plans the permission, because an earlier task may create the user
            raise RefusedError(f"Cannot set the {self.title}: the user does not exist. Create it first.")
        self.server.request("POST", self._route("grant", "create"), {**self._request(), **body})

    def patch(self, body: Json, current: Json, paths: object) -> None:
        """Change the permission."""
        if self.old_api:
            self.server.request("PATCH", self._route("", "update"), {**self._request(), **body})
        else:
            change = {"role_permission_id": current["id"], **body}
            self.server.request("PATCH", f"{V3}/roles/permissions/update", change)

    def delete(self, current: Json) -> None:
        """Remove the permission."""
        method = "DELETE" if self.old_api else "POST"
        self.server.request(method, self._route("revoke", "delete"), self._request())


def main() -> None:
    """Run the module."""
    run_mlflow(
        Permission,
        required_if=[("state", "present", ["permission"])],
        mutually_exclusive=[("resource_id", "experiment_name")],
        required_one_of=[("resource_id", "experiment_name")],
    )


if __name__ == "__main__":
    main()
