# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role variables of this collection: their names, their defaults, and names that resemble them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
# Two names are similar if difflib.get_close_matches returns them with this cutoff.
CUTOFF = 0.87


def known_names(roles: Path = ROLES) -> set[str]:
    """Return the names in the argument specifications of all roles."""
    found: set[str] = set()
    for path in roles.glob("*/meta/argument_specs.yml"):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"].get("options") or {})
    return found


def resembling(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the similar role variable for each name that is not a role variable but resembles one."""
    right = {name.lower(): name for name in known}
    found = {}
    for name in names:
        # Registered results and private variables begin with an underscore. Ansible owns the prefix ansible_.
        if "_" in name and not name.startswith(("_", "ansible_")) and right.get(name.lower()) != name:
            for similar in get_close_matches(name.lower(), right, n=1, cutoff=CUTOFF):
                found[name] = right[similar]
    return found


def mistyped(names: Iterable[str], roles: Path = ROLES) -> list[str]:
    """Return a message for each name that is probably a typing mistake. The value may be a password: do not show it."""
    return [
        f"Unknown role variable {name}. Did you mean {meant}? Correct the name. If the variable is not for this "
        "collection, give it a name that does not resemble a role variable."
        for name, meant in sorted(resembling(names, known_names(roles)).items())
    ]


def defaults(load: Callable[..., Any], roles: Path = ROLES) -> dict[str, Any]:
    """Return the raw defaults of all roles. `load` is ``DataLoader.load_from_file``."""
    found: dict[str, Any] = {}
    for path in sorted(roles.glob("*/defaults/main.yml")):
        found |= load(str(path), trusted_as_template=True) or {}
    return found


class RoleVariables(Mapping[str, Any]):
    """The effective values of role variables: the defaults of all roles under the variables of the play."""

    def __init__(self, defaults: Mapping[str, Any], given: Mapping[str, Any], template: Callable[..., Any]) -> None:
        """Take the raw defaults and variables, and a function that evaluates a value with all variables."""
        self._raw = {**defaults, **{name: given[name] for name in given}}
        self._names = set(defaults)
        self._template = template

    def __getitem__(self, name: str) -> Any:
        """Evaluate and return a variable."""
        return self._template(self._raw[name], self._raw)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the role variables."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of role variables."""
        return len(self._names)

    def add(self, name: str, value: Any) -> None:
        """Set a variable that the values of other variables may use."""
        self._raw[name] = value
