# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Templates of roles, evaluated as Ansible does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"


def load(role: str, kind: str) -> dict[str, Any]:
    """The role's `defaults` or `vars`."""
    texts: dict[str, Any] = yaml.safe_load((ROLES / role / kind / "main.yml").read_text(encoding="utf-8"))
    return {name: trust_as_template(text) if isinstance(text, str) else text for name, text in texts.items()}


def evaluated(text: str, role: str, **settings: Any) -> Any:
    """A template of a role, with these settings."""
    variables = load(role, "defaults") | load(role, "vars") | settings
    return Templar(DataLoader(), variables=variables).template(trust_as_template(text))
