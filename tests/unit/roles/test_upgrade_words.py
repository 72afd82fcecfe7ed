# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the tasks of the role upgrade work out and say, from what the machine and Cloud SQL told them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

ROLE = Path(__file__).resolve().parents[3] / "roles" / "upgrade"


init_plugin_loader()


def load(name: str) -> Any:
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


# The way back by hand


@pytest.mark.parametrize(
    ("code", "told", "active", "words"),
    [
        (
            2,
            {"id": "x", "step": "restore", "cause": "not done after 3600 s"},
            "blue",
            "Going back is still under way after upgrade_timeout_seconds (3600 s), in step restore. Requests may be"
            " held until it ends. Wait for that on the machine: sudo python3 switch.py wait",
        ),
        (
            1,
            {"id": "x", "step": "start", "cause": "the databases are back, but it crashed", "moved": True},
            "green",
            "Going back failed in step start: the databases are back, but it crashed. The databases of then are in"
            " place, and MLflow 3.17.2 is started again and again. Why it does not start: journalctl -u"
            ' "mlflow@*" on the machine. The databases of today are kept on the instance as NAME_failed.',
        ),
        (
            1,
            {"id": "x", "step": "drain", "cause": "it was interrupted", "moved": True},
            "blue",
            "Going back failed in step drain: it was interrupted. MLflow 3.18.0 serves as before, if"
            " /opt/mlflow/libexec/ready.py says so.",
        ),
        (
            2,
            None,
            "blue",
            "Going back failed: switch.py: usage. MLflow 3.18.0 serves as before, if"
            " /opt/mlflow/libexec/ready.py says so.",
        ),
    ],
    ids=["under way", "databases back", "as before", "no answer"],
)
def test_a_way_back_that_failed_says_what_is_there(
    code: int, told: dict[str, Any] | None, active: str, words: str
) -> None:
    require = task("rollback.yml", "Require that it did")
    slots = {"blue": {"release": "/new", "version": "3.18.0"}, "green": {"release": "/old", "version": "3.17.2"}}
    facts = {
        "__upgrade_waited": {"rc": code, "stdout": json.dumps(told) if told else "", "stderr": "switch.py: usage."},
        "__upgrade_after": {"stdout": json.dumps({"active": active, "slots": slots})},
        "__upgrade_status": {"previous": {"release": "/old", "version": "3.17.2"}},
        "__upgrade_from": "3.18.0",
        "__upgrade_switch": ["python3", "switch.py"],
        "upgrade_timeout_seconds": 3600,
    }
    message = render(require["ansible.builtin.assert"]["fail_msg"], require["vars"], facts)
    assert " ".join(message.split()) == words
