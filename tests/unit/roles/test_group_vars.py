# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The commented examples in the group_vars of the project are valid values of role variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[3]
FILES = ("group_vars/all.yml", "inventory/mlflow/group_vars/all.yml")
EXAMPLE = re.compile(r"^# ([a-z_]+: .*)$", re.MULTILINE)


def options() -> dict[str, Any]:
    """Return the options of all roles."""
    found: dict[str, Any] = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found |= entry_point.get("options") or {}
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_fresh_clone_deploys_with_the_defaults(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) is None


@pytest.mark.parametrize("name", FILES)
def test_the_examples_are_role_variables_with_valid_values(name: str) -> None:
    examples = yaml.safe_load("\n".join(EXAMPLE.findall((ROOT / name).read_text(encoding="utf-8"))))
    known = options()
    assert examples
    assert set(examples) - set(known) == set()
    specification = {option: known[option] for option in examples}
    assert ArgumentSpecValidator(specification).validate(examples).error_messages == []


def test_the_variables_of_the_demo_are_role_variables() -> None:
    """A template of the demo is not evaluated here."""
    values = yaml.safe_load((ROOT / "inventory/demo/group_vars/all.yml").read_text(encoding="utf-8"))
    own = {name for name in values if name.startswith("demo_")}
    known = options()
    assert set(values) - own - set(known) == set()
    literal = {name: value for name, value in values.items() if name not in own and "{{" not in str(value)}
    specification = {option: known[option] for option in literal}
    assert ArgumentSpecValidator(specification).validate(literal).error_messages == []
