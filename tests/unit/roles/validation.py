# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check role variables in this process: the argument specification of a role, then the assertions of its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.roles.evaluated import ROLES, load


def refusals(role: str, *, tasks: str = "validate", known: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """Return the messages about these role variables. `known` are other variables, such as mlflow_deployment."""
    document = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = document["argument_specs"]["main"]["options"]
    specified = {name: options[name] for name in given if name in options}
    if messages := list(ArgumentSpecValidator(specified).validate(given).error_messages):
        return messages
    variables = load("defaults/main.yml", role) | {"ansible_facts": {}, "role_path": str(ROLES / role)}
    if (ROLES / role / "vars" / "main.yml").exists():
        variables |= load("vars/main.yml", role)
    return list(_failed(load(f"tasks/{tasks}.yml", role), variables | (known or {}) | given))


def _failed(tasks: list[dict[str, Any]], variables: dict[str, Any]) -> Iterator[str]:
    """Yield the message of each assertion that fails."""
    for task in tasks:
        scope = variables | (task.get("vars") or {})
        if "block" in task:
            yield from _failed(task["block"], scope)
        if "ansible.builtin.assert" not in task:
            continue
        loop = _templar(scope).template(task["loop"]) if "loop" in task else [None]
        for item in loop:
            templar = _templar(scope | {"item": item})
            if all(map(templar.evaluate_conditional, _list(task.get("when", [])))):
                check = task["ansible.builtin.assert"]
                if not all(map(templar.evaluate_conditional, _list(check["that"]))):
                    yield str(templar.template(check["fail_msg"]))


def _templar(variables: dict[str, Any]) -> Templar:
    return Templar(DataLoader(), variables=variables)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
