# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A role uses its own variables and the fact mlflow_deployment, and nothing else of another role."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = ROOT / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
PRIVATE = re.compile(rf"(?<![A-Za-z0-9_])__({'|'.join(NAMES)})(?=_|\b)")
# Variables of these roles are parameters, which the including role sets.
PARAMETERS = {
    ("control_node", "schedule"),
    ("upgrade", "mlflow"),
    ("infrastructure", "mlflow"),
    ("rotate", "certificates"),
}
OWNERS = {
    option: role
    for role in NAMES
    for entry in yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"].values()
    for option in entry.get("options") or {}
}


def files(folder: Path) -> list[Path]:
    """Return the files with templates: no READMEs, specifications and programs."""
    return [path for path in folder.rglob("*") if path.suffix in (".yml", ".j2") and "meta" not in path.parts]


def expressions(text: str) -> str:
    """Return the templates and bare conditions of a file, without its comments, names and messages."""
    text = re.sub(r"^\s*(#|- name:|name:).*$", "", text, flags=re.MULTILINE)
    conditions = re.findall(r"^\s*(?:when|that|loop|until|failed_when|changed_when): (.*)$", text, re.MULTILINE)
    templates = re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL)
    return re.sub(r"'[^']*'", "''", "\n".join([*templates, *conditions]))


def private_uses(role: str, text: str) -> set[str]:
    """Return the roles whose private names a text uses. A playbook has no role, and so no private names."""
    return {match[1] for match in PRIVATE.finditer(text)} - {role}


def foreign_files(text: str) -> list[str]:
    """Return the paths that leave the directory of the role."""
    return re.findall(r"role_path\b[ ~'\"})]*/\.\./(?!\.\./playbooks/)[^'\"\n]*", text)


def foreign_variables(role: str, text: str) -> set[str]:
    """Return the public variables of other roles that a text reads."""
    read = set(re.findall(r"(?<![A-Za-z0-9_.'-])[a-z]+_[a-z_]+(?![A-Za-z0-9_'])", expressions(text))) & set(OWNERS)
    return {name for name in read if OWNERS[name] != role and (role, OWNERS[name]) not in PARAMETERS}


@pytest.mark.parametrize("role", NAMES)
def test_a_role_uses_nothing_private_of_another_role(role: str) -> None:
    found = {}
    for path in files(ROLES / role):
        text = path.read_text(encoding="utf-8")
        if wrong := [*private_uses(role, text), *foreign_files(text), *foreign_variables(role, text)]:
            found[str(path.relative_to(ROLES))] = wrong
    assert found == {}


def test_a_playbook_uses_nothing_private_of_a_role() -> None:
    found = {
        path.name: private_uses("", path.read_text(encoding="utf-8")) for path in (ROOT / "playbooks").glob("*.yml")
    }
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_a_role_sets_no_variable_of_a_user() -> None:
    """A fact would replace the value of the user. Facts of a role are private, except mlflow_deployment."""
    found = {}
    for path in files(ROLES):
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^( *)ansible\.builtin\.set_fact:\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE)
        for indentation, block in blocks:
            names = re.findall(rf"^{indentation}  (\S.*?):", block, re.MULTILINE)
            if wrong := [name for name in names if not name.startswith(("__", "#")) and name != "mlflow_deployment"]:
                found[str(path.relative_to(ROLES))] = wrong
    assert found == {}


def test_the_rules_find_violations() -> None:
    assert private_uses("backup", "when: __infrastructure_host is defined") == {"infrastructure"}
    assert private_uses("backup", "__backup_name: x") == set()
    assert foreign_files("lookup('ansible.builtin.file', role_path ~ '/../mlflow/defaults/main.yml')")
    assert foreign_files("src: '{{ role_path }}/../mlflow/files/switch.py'")
    assert not foreign_files("role_path ~ '/../../playbooks/provision.yml'")
    assert foreign_variables("backup", "that: infrastructure_bucket_versioning | bool\n") == {
        "infrastructure_bucket_versioning"
    }
    assert foreign_variables("backup", 'msg: infrastructure_bucket is "{{ mlflow_deployment.bucket.name }}"\n') == set()
