# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate templates of roles as Ansible does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _deployment, _role_variables

ROLES = Path(__file__).resolve().parents[3] / "roles"


def load(name: str, role: str) -> Any:
    """Load a file of a role, with templates that Ansible trusts."""
    return DataLoader().load_from_file(str(ROLES / role / name), trusted_as_template=True)


def render(template: Any, *variables: dict[str, Any]) -> Any:
    """Evaluate a template as Ansible does. Later variables have a lower precedence."""
    merged = {name: value for each in variables for name, value in each.items()}
    return Templar(DataLoader(), variables=merged).template(template)


def evaluated(text: str, role: str, **settings: Any) -> Any:
    """Evaluate a template of a role with these variables."""
    return render(trust_as_template(text), load("defaults/main.yml", role), load("vars/main.yml", role), settings)


def described(**settings: Any) -> dict[str, Any]:
    """Return the fact mlflow_deployment for these role variables, without an inventory and without recorded state."""
    given = {
        "deployment_project": "my-project",
        "deployment_state_root": "/state",
        "inventory_hostname": "vm",
    } | settings
    variables = _role_variables.RoleVariables(_role_variables.defaults(DataLoader().load_from_file), given, render)
    fact = _deployment.describe(variables, roles=ROLES, records={}, explicit=False, check=list)
    return fact | {"inventory_hosts": [], "inventory_host": "mlflow-server", "process": 1}
