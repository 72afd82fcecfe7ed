# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fake modules that record their arguments (asked.jsonl) and return scripted results (answers.json)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
# A test sets this variable to get the output of -vvv.
VERBOSITY = "ANSIBLE_VERBOSITY"
PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
# Action plugins run in Ansible's own process. Real modules would take minutes for all these tasks.
ACTION = """
import json
from pathlib import Path

from ansible.plugins.action import ActionBase

FOLDER = Path({folder!r})


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        asked = self._task.args | {{"module": {name!r}, "check": self._task.check_mode}}
        with (FOLDER / "asked.jsonl").open("a") as notes:
            print(json.dumps(asked), file=notes)
        answer = {{}}
        for wanted, given in json.loads((FOLDER / "answers.json").read_text()):
            if all(json.dumps(value).strip('"') in json.dumps(asked.get(key)) for key, value in wanted.items()):
                answer = given
                break
        return {{"changed": False, **answer}}
"""


def note(folder: Path, names: Iterable[str]) -> None:
    """Create fake modules with these names in the collection below `folder`."""
    actions = folder / "ansible_collections" / "mlops" / "mlflow_gcp" / "plugins" / "action"
    actions.mkdir(parents=True)
    for kind in ("callback", "filter", "module_utils", "plugin_utils"):
        (actions.parent / kind).symlink_to(ROOT / "plugins" / kind)
    for name in ("mlflow_deployment", "role_variables"):
        (actions / f"{name}.py").symlink_to(ROOT / "plugins" / "action" / f"{name}.py")
    for name in names:
        (actions / f"{name}.py").write_text(ACTION.format(folder=str(folder), name=name))


def collection(folder: Path, role: str, others: Iterable[str] = (), *, noted: Iterable[str] = ()) -> Path:
    """Create a collection with copies of a role and its fake builtin modules; return the directory of the roles.

    The role `deployment` finds no VM: no task asks Google for one or adds a host to the inventory.
    """
    roles = folder / "ansible_collections" / "mlops" / "mlflow_gcp" / "roles"
    roles.mkdir(parents=True)
    (roles.parent / "meta").symlink_to(ROOT / "meta")
    shutil.copytree(ROOT / "roles" / role, roles / role)
    shutil.copytree(ROOT / "roles" / "deployment", roles / "deployment")
    # Each role may include the roles of the runtime and the authentication.
    seams = [path.name for kind in ("runtime", "authentication") for path in (ROOT / "roles").glob(f"{kind}_*")]
    for name in seams:
        shutil.copytree(ROOT / "roles" / name, roles / name)
    for path in (roles / "runtime_vm" / "tasks" / "access.yml", roles / "deployment" / "tasks" / "inventory.yml"):
        path.write_text("[]\n")
    for other in others:
        (roles / other).symlink_to(ROOT / "roles" / other)
    for path in (path for name in (role, *seams) for path in (roles / name).glob("*/*.yml")):
        text = path.read_text(encoding="utf-8")
        for name in noted:
            text = text.replace(f"ansible.builtin.{name}:", f"mlops.mlflow_gcp.{name}:")
        path.write_text(text, encoding="utf-8")
    return roles


def play(
    folder: Path,
    hosts: str,
    role: dict[str, str],
    answers: list[Any],
    settings: dict[str, Any],
    *,
    check: bool,
    records: dict[str, Any] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a role of the collection below `folder`. With `records`, take the lock before.

    The hosts localhost and mlflow-server are both local.
    """
    local = f"ansible_connection=local ansible_python_interpreter={sys.executable} ansible_become=false"
    (folder / "hosts").write_text(f"localhost {local}\nmlflow-server {local}\n")
    answers = [({"module": "mlflow_state_info"}, {"records": records or {}}), *answers]
    (folder / "answers.json").write_text(json.dumps(answers))
    (folder / "asked.jsonl").write_text("")
    deployment = {"name": "mlops.mlflow_gcp.deployment"}
    tasks = [{"include_role": deployment}, {"include_role": role}]
    if records is not None:
        tasks.insert(1, {"include_role": deployment | {"tasks_from": "lock"}})
    (folder / "play.yml").write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    command = [PLAYBOOK, "-i", "hosts", "play.yml", "-e", json.dumps(settings), *(["--check"] if check else [])]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") or key == VERBOSITY}
    environment = kept | {
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    print(done.stdout + done.stderr)
    return done
