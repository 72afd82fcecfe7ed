# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Only the table and the role of a value know what a runtime or an authentication mode is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import AUTHENTICATIONS, Authentication
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._runtime import RUNTIMES, Runtime

from tests.unit.roles.evaluated import ROLES

PLAYBOOKS = ROLES.parent / "playbooks"
# For each axis: its table and the variables with its value.
AXES: dict[str, tuple[dict[str, Authentication] | dict[str, Runtime], list[tuple[str, str]]]] = {
    "runtime": (dict(RUNTIMES), [("deployment", "deployment_runtime")]),
    "authentication": (
        dict(AUTHENTICATIONS),
        [("mlflow", "mlflow_authentication"), ("nginx", "nginx_authentication")],
    ),
}
VALUES = [pytest.param(axis, name, id=f"{axis} {name}") for axis, (table, _) in AXES.items() for name in table]


def tasks(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".yml", ".j2") and "meta" not in path.parts]


def comparisons(axis: str, text: str) -> list[str]:
    """Return the comparisons of the value of an axis."""
    axis_value = rf"(?:{axis}\.name|\w+_{axis})\b"
    literal = r"['\"][a-z0-9_]+['\"]|\[[^]]*\]"
    return re.findall(
        rf"{axis_value}\s*(?:==|!=|in|not in)\s*(?:{literal})|(?:{literal})\s*(?:==|!=)\s*\S*{axis_value}", text
    )


def inclusions(role: str, text: str) -> list[str]:
    """Return the places that name a role: as a word, besides the names of its variables."""
    return re.findall(rf"(?<![\w/]){role}(?![\w])|mlflow_gcp\.{role}\b", text)


def included(axis: str, text: str) -> list[tuple[str, bool]]:
    """Return the entry points of an axis that a text includes, and whether only modes with the entry point do."""
    pattern = rf'name: "\{{\{{ [\w.]*{axis}[._]role \}}\}}"\n +tasks_from: (\w+)\n((?: +.*\n)*)'
    return [
        (name, f"when: \"'{name}' in mlflow_deployment.{axis}.entry_points\"" in rest)
        for name, rest in re.findall(pattern, text)
    ]


def removed(axis: str, text: str) -> list[str]:
    """Return the entry points that a text includes from the roles of the other values of an axis."""
    pattern = rf'tasks_from: (\w+)\n +loop: "\{{\{{ mlflow_deployment\.{axis}\.former_roles \}}\}}"\n'
    return re.findall(pattern, text)


@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_a_value_has_a_role_with_the_declared_entry_points(axis: str, name: str) -> None:
    value = AXES[axis][0][name]
    role = ROLES / value.role
    specified = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    readme = (role / "README.md").read_text(encoding="utf-8")
    assert value.entry_points
    for entry_point in value.entry_points:
        assert yaml.safe_load((role / "tasks" / f"{entry_point}.yml").read_text(encoding="utf-8"))
        assert specified[entry_point]["short_description"]
        assert f"| `{entry_point}` |" in readme


@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_only_the_role_of_a_value_names_it(axis: str, name: str) -> None:
    value = AXES[axis][0][name]
    others = [path for role in ROLES.iterdir() if role.name != value.role for path in tasks(role)]
    found = {}
    for path in [*others, *tasks(PLAYBOOKS)]:
        text = path.read_text(encoding="utf-8")
        if wrong := [*comparisons(axis, text), *inclusions(value.role, text)]:
            found[str(path.relative_to(ROLES.parent))] = wrong
    assert found == {}


@pytest.mark.parametrize("axis", AXES)
def test_every_value_has_the_entry_points_that_are_included(axis: str) -> None:
    """An entry point of only some values needs a condition on `entry_points` in the fact."""
    declared = [set(value.entry_points) for value in AXES[axis][0].values()]
    texts = [path.read_text(encoding="utf-8") for path in [*tasks(ROLES), *tasks(PLAYBOOKS)]]
    used = {found for text in texts for found in included(axis, text)}
    # The role of a secret rotates it. A mode without secrets needs no such entry point.
    of_all = set.intersection(*declared) - {"rotate"}
    assert {name for name, conditional in used if not conditional} - {"rotate"} == of_all
    optional = {name for name, conditional in used if conditional}
    others = set.union(*declared) - of_all - {"rotate"}
    assert optional | {name for text in texts for name in removed(axis, text)} == others


def test_the_role_of_each_secret_rotates_it() -> None:
    for mode in AUTHENTICATIONS.values():
        for secret in mode.secrets:
            assert (ROLES / secret.rotation_role / "tasks" / "rotate.yml").exists()


@pytest.mark.parametrize("axis", AXES)
def test_the_choices_of_the_variables_are_the_values_of_the_table(axis: str) -> None:
    table, variables = AXES[axis]
    for role, variable in variables:
        document = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        assert document["argument_specs"]["main"]["options"][variable]["choices"] == list(table)


def test_the_rules_find_violations() -> None:
    assert comparisons("authentication", "when: mlflow_authentication == 'basic'")
    assert comparisons("authentication", "when: mlflow_deployment.authentication.name != 'basic'")
    assert comparisons("authentication", "when: mlflow_authentication in ['basic', 'iap']")
    assert comparisons("runtime", "when: \"'vm' == deployment_runtime\"")
    assert comparisons("runtime", 'when: mlflow_deployment.runtime.name == "vm"')
    assert not comparisons("runtime", 'name: "{{ mlflow_deployment.runtime.role }}"')
    assert inclusions("runtime_vm", "    name: mlops.mlflow_gcp.runtime_vm\n")
    assert inclusions("runtime_vm", "  roles:\n    - runtime_vm\n")
    assert not inclusions("runtime_vm", "vars:\n  runtime_vm_address: x\n")
    text = 'name: "{{ mlflow_deployment.runtime.role }}"\n        tasks_from: reload\n'
    assert included("runtime", text) == [("reload", False)]
    text = text.replace("runtime.role", "authentication.role")
    assert included("authentication", text) == [("reload", False)]
    text += "        when: \"'reload' in mlflow_deployment.authentication.entry_points\"\n"
    assert included("authentication", text) == [("reload", True)]
    text = 'tasks_from: remove\n      loop: "{{ mlflow_deployment.authentication.former_roles }}"\n'
    assert removed("authentication", text) == ["remove"]
