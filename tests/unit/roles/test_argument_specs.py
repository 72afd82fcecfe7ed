# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The argument specification of every role matches its defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def options(role: str) -> dict[str, dict[str, Any]]:
    document = load(ROLES / role / "meta" / "argument_specs.yml")
    specified: dict[str, dict[str, Any]] = document["argument_specs"]["main"]["options"]
    return specified


def test_every_role_has_a_specification() -> None:
    assert sorted(path.name for path in ROLES.iterdir() if path.is_dir()) == NAMES
    assert NAMES


def flat(value: Any) -> Any:
    """Normalise the whitespace of folded YAML texts."""
    return " ".join(value.split()) if isinstance(value, str) else value


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_those_of_the_specification(role: str) -> None:
    defaults = load(ROLES / role / "defaults" / "main.yml") or {}
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert {name: flat(value) for name, value in defaults.items()} == {
        name: flat(value) for name, value in specified.items()
    }
    for name, option in options(role).items():
        assert ("default" in option) != option.get("required", False), f"{name}: required or a default, not both"


@pytest.mark.parametrize("role", NAMES)
def test_settings_are_named_after_the_role_typed_and_described(role: str) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role}_")
        assert option["type"]
        assert option["description"]
        if option["type"] == "list":
            assert option["elements"], name


@pytest.mark.parametrize("role", NAMES)
def test_every_setting_is_used(role: str) -> None:
    """An unused variable would mislead users."""
    used = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("tasks", "templates", "vars", "handlers")
        for path in (ROLES / role / folder).rglob("*")
        if path.is_file()
    )
    # The plugin that computes the fact mlflow_deployment reads the variables that several roles need.
    used += (ROLES.parent / "plugins" / "plugin_utils" / "_deployment.py").read_text(encoding="utf-8")
    # A default may refer to other variables.
    used += (ROLES / role / "defaults" / "main.yml").read_text(encoding="utf-8") if options(role) else ""
    for name in options(role):
        assert re.search(rf"\b{name}\b(?!:)", used), f"{name} has no effect"


@pytest.mark.parametrize("role", NAMES)
def test_only_the_specification_describes_variables(role: str) -> None:
    """A comment in defaults/main.yml is the reference to the README or a short heading."""
    path = ROLES / role / "defaults" / "main.yml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    comments = [line for line in lines if line.lstrip().startswith("#")]
    assert comments[:1] == (["# README.md describes the variables."] if lines else [])
    assert all(len(line.split()) <= 5 for line in comments[1:]), comments
