# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The files that state a version agree: of the collection, of ansible-core and of Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.doc_fragments.gcp import ModuleDocFragment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = sorted(
    path
    for kind in ("callback", "filter", "inventory", "modules")
    for path in (ROOT / "plugins" / kind).glob("*.py")
    if not path.name.startswith("_")
)
ROLES = sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))


def document(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


GALAXY = document("galaxy.yml")["version"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def too_new(text: str) -> list[str]:
    """Return the ``version_added`` entries that are later than the collection's version."""
    added = re.findall(r"^\s*version_added: [\"']?([0-9.]+)", text, re.MULTILINE)
    return [version for version in added if Version(version) > Version(GALAXY)]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_each_plugin_was_added_in_a_version_of_the_collection(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^version_added: ", text, re.MULTILINE)
    assert too_new(text) == []


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.parents[1].name)
def test_each_role_was_added_in_a_version_of_the_collection(path: Path) -> None:
    assert too_new(path.read_text(encoding="utf-8")) == []


def test_a_later_version_is_found() -> None:
    assert too_new("version_added: 999.0.0\noptions:\n  a:\n    version_added: '0.0.1'\n") == ["999.0.0"]


def test_project_and_collection_have_the_same_version() -> None:
    assert PROJECT["version"] == GALAXY


def test_the_collection_requires_the_tested_versions_of_ansible_core() -> None:
    requirements = [Requirement(text) for text in PROJECT["dependencies"]]
    tested = next(requirement.specifier for requirement in requirements if requirement.name == "ansible-core")
    required = SpecifierSet(document("meta/runtime.yml")["requires_ansible"])
    assert {(item.operator, Version(item.version)) for item in required} == {
        (item.operator, Version(item.version)) for item in tested
    }


def test_the_modules_document_the_python_version_of_the_project() -> None:
    required = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["requirements"]
    python = next(Requirement(text) for text in required if text.startswith("python"))
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])


def test_the_readme_states_the_tested_versions() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"\*\*Tested versions:\*\* ansible-core ([0-9.]+) and Python ([0-9.]+)", text)
    assert stated
    ansible, python = stated.groups()
    required = SpecifierSet(document("meta/runtime.yml")["requires_ansible"])
    following = ".".join([ansible.split(".")[0], str(int(ansible.split(".")[1]) + 1)])
    assert Version(ansible) in required
    assert Version(following) not in required
    assert PROJECT["requires-python"] == f">={python}"
