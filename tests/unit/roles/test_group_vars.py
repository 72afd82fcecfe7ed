# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""group_vars/all.yml lists every variable of the roles, commented out, with its effective default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = (
    "deployment",
    "infrastructure",
    "credentials",
    "mlflow",
    "nginx",
    "doctor",
    "upgrade",
    "schedule",
    "control_node",
    "rotate",
    "backup",
    "gc",
)
SETTING = re.compile(rf"# ((?:{'|'.join(ROLES)})_\w+):(?: (?P<value>[^#].*?))?(?: # (?P<mark>\w+))?")


@dataclass
class Line:
    """A variable in group_vars. `mark` is `example`, `wired`, or empty for a plain default."""

    value: Any
    mark: str


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def shown() -> list[tuple[str, Line]]:
    """Return every commented variable. Indented lines behind the # continue its value."""
    lines = (ROOT / "group_vars" / "all.yml").read_text(encoding="utf-8").splitlines()
    settings = []
    for number, line in enumerate(lines):
        if match := SETTING.fullmatch(line):
            rest = []
            for following in lines[number + 1 :]:
                if not following.startswith("#   "):
                    break
                rest.append(following[2:])
            text = "\n".join([f"{match[1]}: {match['value'] or ''}", *rest])
            settings.append((match[1], Line(yaml.safe_load(text)[match[1]], match["mark"] or "")))
    return settings


def flat(value: Any) -> Any:
    """Normalise the whitespace of folded YAML texts."""
    return " ".join(value.split()) if isinstance(value, str) else value


def wiring() -> dict[str, Any]:
    """Return the variables that the playbooks set for the roles of the VM, with internal names resolved."""
    internal = load("roles/infrastructure/vars/main.yml")

    def resolve(value: Any) -> Any:
        match value:
            case dict():
                return {name: resolve(item) for name, item in value.items()}
            case list():
                return [resolve(item) for item in value]
            case str():
                return re.sub(r"{{ (__infrastructure_\w+) }}", lambda match: internal[match[1]], value)
        return value

    task, *_ = load("roles/infrastructure/tasks/deployment.yml")
    wired: dict[str, Any] = resolve(task["vars"]["__infrastructure_wiring"])
    return wired


SHOWN = dict(shown())
WIRED = wiring()


def test_nothing_is_set() -> None:
    """A fresh clone deploys with the defaults."""
    assert load("group_vars/all.yml") is None


def test_each_setting_is_shown_once() -> None:
    names = [name for name, _ in shown()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("role", ROLES)
def test_every_setting_is_shown_and_no_other(role: str) -> None:
    options = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name for name in SHOWN if name.startswith(f"{role}_")} == set(options)


def test_wired_settings_are_marked_and_shown_as_they_are_wired() -> None:
    assert {name: line.value for name, line in SHOWN.items() if line.mark == "wired"} == WIRED


@pytest.mark.parametrize("role", ROLES)
def test_the_shown_values_are_the_defaults(role: str) -> None:
    defaults = load(f"roles/{role}/defaults/main.yml")
    plain = {name: line.value for name, line in SHOWN.items() if name.startswith(f"{role}_") and not line.mark}
    assert {name: flat(value) for name, value in plain.items()} == {name: flat(defaults[name]) for name in plain}


def test_examples_stand_only_where_there_is_no_plain_default() -> None:
    defaults = {name: value for role in ROLES for name, value in load(f"roles/{role}/defaults/main.yml").items()}
    examples = [name for name, line in SHOWN.items() if line.mark == "example"]
    assert examples
    for name in examples:
        assert defaults[name] == "" or "{{" in defaults[name], f"{name} has a default: show it"
        assert SHOWN[name].value, f"{name}: an example without a value"
    assert {line.mark for line in SHOWN.values()} == {"", "example", "wired"}
