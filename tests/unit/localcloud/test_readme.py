# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The README of the local cloud and its pyproject.toml agree with the code."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
import tomllib
from dataclasses import fields
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from localcloud import commands
from localcloud.access.users import DEFAULTS
from localcloud.core.faults import Fault, RandomFaults
from localcloud.core.profile import PROFILES, Profile
from localcloud.server import admin

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "localcloud"
README = (PACKAGE / "README.md").read_text()


def table(title: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    rows = re.findall(r"^\|(.*)\|$", README.partition(f"\n## {title}\n")[2].partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def test_it_lists_every_admin_request() -> None:
    def path(pattern: str) -> str:
        return "/localcloud" + re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", lambda found: found[1].upper(), pattern)

    routes = {f"{verb} {path(route.pattern.pattern)}" for route in admin.api.raw for verb in route.methods}
    assert sorted(row[0].strip("`") for row in table("Admin requests")) == sorted(routes)


def test_it_lists_every_command() -> None:
    names = {module.name for module in pkgutil.iter_modules(commands.__path__) if not module.name.startswith("_")}
    assert {row[0].strip("`") for row in table("Commands")} == names


def test_it_lists_every_switch_with_its_values() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in table("Profiles")}
    assert rows.keys() == {field.name for field in fields(Profile)} - {"name", "scale"}
    for name, (none, google) in rows.items():
        for text, profile in ((none, PROFILES["none"]), (google, PROFILES["google"])):
            value = getattr(profile, name)
            days = f"{value / 86400:g} days" if isinstance(value, float) and value >= 86400 else None
            assert text == (days or (f"{value:g}" if isinstance(value, float) else str(value).lower())), name


def test_it_lists_every_field_of_a_fault() -> None:
    named = {name for row in table("Faults") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == {field.name for field in fields(Fault)}
    text = README.partition("`PUT /localcloud/faults/random` has ")[2].partition("\n")[0]
    assert set(re.findall(r"`(\w+)`", text)) == {field.name for field in fields(RandomFaults)}


def test_it_lists_every_default_account() -> None:
    named = {name for row in table("Sign-in") for name in re.findall(r"`(\S+@\S+)`", row[0])}
    assert named == {user.email for user in DEFAULTS}


def test_it_lists_every_package() -> None:
    assert {row[0].strip("`") for row in table("Code")} == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_the_dependencies_are_the_imported_packages() -> None:
    names = {alias for path in PACKAGE.rglob("*.py") for alias in imported(ast.parse(path.read_text()))}
    outside = names - sys.stdlib_module_names - {"localcloud"}
    distributions = packages_distributions()
    own, whole = project(PACKAGE), project(REPOSITORY)
    assert {normal(distributions[name][0]) for name in outside} == set(own["project"]["dependencies"])
    assert set(whole["dependency-groups"]["localcloud"]) <= set(own["project"]["dependencies"])
    assert own["project"]["version"] == whole["project"]["version"]


def imported(tree: ast.Module) -> set[str]:
    """Return the top-level packages that a module imports."""
    found = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())
