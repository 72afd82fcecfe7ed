# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate templates of roles as Ansible does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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
