# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse mistyped names of role variables. Runs in the process of ansible-playbook."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _role_variables


class ActionModule(ActionBase):  # type: ignore[misc]
    """Compare the names of the play's variables with the role variables of the collection."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail if a variable is probably a typing mistake."""
        super().run(tmp, task_vars)
        if messages := _role_variables.mistyped(task_vars or {}):
            raise AnsibleActionFail(" ".join(messages))
        return {"changed": False}
