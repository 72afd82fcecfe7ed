#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_service_account
short_description: Manage a service account
version_added: 0.1.0
description:
  - Creates, updates and deletes a service account of Google Cloud IAM.
  - IAM needs up to a minute until a new account can be read. The module waits for this.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: ID of the account, which is the part of its e-mail address before the C(@).
    type: str
    required: true
  display_name:
    description: Display name.
    type: str
  description:
    description: Free text.
    type: str
  disabled:
    description: Whether the account's keys and tokens are refused.
    type: bool
"""

EXAMPLES = r"""
- name: Create the service account of a VM
  mlops.mlflow_gcp.gcp_service_account:
    project: my-project
    name: mlflow-server
    display_name: MLflow tracking server
"""

RETURN = r"""
resource:
  description: >-
    The account as the API returns it, U(https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts).
    Null when absent. Check mode also returns the e-mail address of an account that does not exist yet.
  returned: success
  type: dict
  sample:
    name: projects/my-project/serviceAccounts/mlflow-server@my-project.iam.gserviceaccount.com
    email: mlflow-server@my-project.iam.gserviceaccount.com
    displayName: MLflow tracking server
    uniqueId: "100000000000000000001"
"""

from collections.abc import Sequence
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._fields import Field
from ..module_utils._iam import account_email
from ..module_utils._module import run
from ..module_utils._resource import VISIBLE_WITHIN, Resource


class ServiceAccount(Resource):
    """Manage iam.projects.serviceAccounts."""

    api = "iam"
    kind = "service account"
    collection = "v1/projects/{project}/serviceAccounts"
    path = "v1/projects/{project}/serviceAccounts/{email}"
    create_body = {"email": "{email}"}
    patch_style = "mask"
    formats = {"name": _formats.account_id}
    options = {
        "name": {"type": "str", "required": True},
        "display_name": {"type": "str"},
        "description": {"type": "str"},
        "disabled": {"type": "bool"},
    }
    fields = {
        "display_name": Field(),
        "description": Field(),
        "disabled": Field(via="switch", create=False),
    }

    def __init__(self, client: Any, params: Any) -> None:
        super().__init__(client, {**params, "email": account_email(params["name"], params["project"])})

    def create(self, body: Json) -> None:
        """Create the account. The API derives the e-mail address from the ID."""
        account = {key: value for key, value in body.items() if key != "email"}
        self.call("POST", self.fill(self.collection), {"accountId": self.params["name"], "serviceAccount": account})

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Patch the account with the update mask in the body."""
        self.call("PATCH", self.self_path, {"serviceAccount": body, "updateMask": ",".join(paths)})

    def switch(self, body: Json, current: Json) -> None:
        """Disable or enable the account; some of IAM's servers may not know a new account yet."""
        path = f"{self.self_path}:{'disable' if body['disabled'] else 'enable'}"
        self.retry(lambda: self.call("POST", path, {}), lambda error: error.code == 404, VISIBLE_WITHIN)


def main() -> None:
    """Run the module."""
    run(ServiceAccount)


if __name__ == "__main__":
    main()
