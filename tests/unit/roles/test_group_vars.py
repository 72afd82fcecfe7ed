# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The commented examples in group_vars/all.yml are valid values of role variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "group_vars" / "all.yml"
EXAMPLE = re.compile(r"^# (\w+: .*)$", re.MULTILINE)


def options() -> dict[str, Any]:
    """Return the options of all roles."""
    found: dict[str, Any] = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found |= entry_point.get("options") or {}
    return found


def test_a_fresh_clone_deploys_with_the_defaults() -> None:
    assert yaml.safe_load(EXAMPLES.read_text(encoding="utf-8")) is None


def test_the_examples_are_role_variables_with_valid_values() -> None:
    examples = yaml.safe_load("\n".join(EXAMPLE.findall(EXAMPLES.read_text(encoding="utf-8"))))
    assert "deployment_region" in examples
    specification = {name: {**option, "required": False, "default": None} for name, option in options().items()}
    assert ArgumentSpecValidator(specification).validate(examples).error_messages == []
