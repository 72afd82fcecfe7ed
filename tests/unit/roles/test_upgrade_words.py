# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the tasks of the role upgrade work out and say, from what the machine and Cloud SQL told them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

ROLE = Path(__file__).resolve().parents[3] / "roles" / "upgrade"


def load(name: str) -> Any:
    init_plugin_loader()
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


def task(file: str, name: str) -> dict[str, Any]:
    """A task by its name, one inside a block too."""
    waiting = list(load(f"tasks/{file}"))
    while waiting:
        each = waiting.pop(0)
        if each["name"] == name:
            return dict(each)
        waiting += [inner for part in ("block", "rescue", "always") for inner in each.get(part, [])]
    raise AssertionError(f"{file} has no task '{name}'")


def render(template: Any, *variables: dict[str, Any]) -> Any:
    """What Ansible makes of a template; later variables go before earlier ones."""
    merged = {name: value for each in variables for name, value in each.items()}
    return Templar(DataLoader(), variables=merged).template(template)


# Backups


def test_only_backups_that_succeeded_are_counted_as_kept() -> None:
    removal = task("finish.yml", "Remove backups of earlier upgrades")
    states = ["SUCCESSFUL", "FAILED", "DELETED", "SUCCESSFUL", "SUCCESSFUL"]
    runs = [{"description": f"mlflow upgrade {number}", "status": state} for number, state in enumerate(states)]
    others = [{"status": "SUCCESSFUL"}, {"description": "by hand", "status": "SUCCESSFUL"}]
    facts = {
        "__upgrade_backup_prefix": "mlflow upgrade ",
        "__upgrade_backup": {"backups": [*others, *runs]},
        "upgrade_keep_backups": 2,
    }
    assert render(removal["loop"], removal["vars"], facts) == ["mlflow upgrade 4"]
