# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse mistyped names and invalid values of role variables. Runs in the process of ansible-playbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _role_variables, _validation
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation._context import Context


class ActionModule(ActionBase):  # type: ignore[misc]
    """Compare the names and values of the play's variables with the role variables of the collection."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail if a variable is probably a typing mistake, or a value is not valid."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _result, arguments = self.validate_argument_spec(
            {"roles": {"type": "list", "elements": "str", "choices": [*_validation.CHECKS], "default": []}}
        )
        # In a deployment, the module mlflow_deployment has compared the names.
        messages = [] if "mlflow_deployment" in variables else _role_variables.mistyped(variables)
        values = _role_variables.RoleVariables(
            _role_variables.defaults(self._loader.load_from_file), variables, self._evaluate
        )
        cpus = (variables.get("ansible_facts") or {}).get("processor_vcpus")
        context = Context(cpus=int(cpus or 0), find=self._find)
        for role in arguments["roles"]:
            messages += _validation.refusals(role, values, context)
        if messages:
            raise AnsibleActionFail(" ".join(messages))
        return {"changed": False}

    def _evaluate(self, value: Any, variables: dict[str, Any]) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(value)

    def _find(self, path: str) -> Path | None:
        try:
            found = Path(self._find_needle("files", path))
        except AnsibleError:
            return None
        return found if found.is_file() else None
