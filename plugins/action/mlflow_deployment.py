# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the role variables and describe the deployment. Runs in the process of ansible-playbook."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.mlops.mlflow_gcp.plugins.filter.deployment_hosts import deployment_hosts
from ansible_collections.mlops.mlflow_gcp.plugins.filter.malformed import malformed
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _deployment, _role_variables
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._choice import UnknownChoiceError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Compute the fact `mlflow_deployment`."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the description, or fail with the variables that are wrong."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _refuse(_role_variables.mistyped(variables))
        settings = _role_variables.RoleVariables(
            _role_variables.defaults(self._loader.load_from_file), variables, self._evaluate
        )
        if not settings["deployment_project"]:
            _refuse(["deployment_project is not set. Set it in group_vars/all.yml, or export GOOGLE_CLOUD_PROJECT."])
        try:
            fact = _deployment.describe(
                settings,
                roles=_role_variables.ROLES,
                records=self._task.args.get("records") or {},
                explicit="mlflow_version" in load_extra_vars(self._loader),
                check=lambda names: _refuse(malformed({name: settings[name] for name in names})),
            )
        except UnknownChoiceError as error:
            raise AnsibleActionFail(str(error)) from None
        # A worker is a child of ansible-playbook.
        fact["process"] = os.getppid()
        groups = variables.get("groups", {})
        hosts = deployment_hosts(
            groups.get("mlflow", []),
            variables.get("hostvars", {}),
            project=fact["project"],
            zone=fact["zone"],
            vm=fact["vm"]["name"],
        )
        fact["inventory_hosts"] = hosts
        fact["inventory_host"] = hosts[0] if hosts else fact["vm"]["name"]
        return {"changed": False, "deployment": fact}

    def _evaluate(self, value: Any, variables: dict[str, Any]) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(value)


def _refuse(messages: list[str]) -> None:
    if messages:
        raise AnsibleActionFail(" ".join(messages))
