# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Modules that only note what they are asked (asked.jsonl), and answer what a test says (answers.json)."""

from __future__ import annotations

import sys
from pathlib import Path

PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
# Action plugins, which run in Ansible's own process: a module each would take minutes for all these tasks.
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
