#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflowctl
short_description: Run a command of mlflowctl, the program on the VM
version_added: 0.1.0
description:
  - Runs C(mlflowctl) on the VM and returns the JSON document that the command prints.
  - The task is changed if the document says so in its key C(changed).
  - P(mlops.mlflow_gcp.mlflowctl#role) installs the program. C(mlflowctl --help) on the VM lists the commands.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  command:
    description: The command and its arguments.
    type: list
    elements: str
    required: true
  creates:
    description: Path of a file that the command creates. If the file exists, the command is not run.
    type: path
  stdin:
    description: Text for the standard input of the command.
    type: str
  program:
    description: Path of the program.
    type: path
    default: /usr/local/bin/mlflowctl
attributes:
  check_mode:
    description: Runs nothing in C(check_mode).
    details:
      - The task is changed if the file O(creates) does not exist, and skipped without O(creates).
      - Set C(check_mode) to V(false) on a task that only reads.
    support: partial
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Read the status of the deployment
  mlops.mlflow_gcp.mlflowctl:
    command: [status]
  check_mode: false
  register: deployment

- name: Report the deployed release
  ansible.builtin.debug:
    msg: "{{ deployment.result.slots[deployment.result.active].version }}"

- name: Compare the schemas
  mlops.mlflow_gcp.mlflowctl:
    command: [run-job, schema, heads]
"""

RETURN = r"""
result:
  description: The document that the command printed. Empty if the command printed nothing.
  returned: always
  type: dict
  sample: {active: blue}
rc:
  description:
    - Exit code of the command. V(0) done, V(1) failed, V(2) the command line is not valid, V(3) refused,
      V(4) another cutover is in progress, V(5) the time limit was reached and the operation continues.
  returned: always
  type: int
  sample: 0
stderr:
  description: The messages of the command. The last line is the cause of a failure.
  returned: always
  type: str
  sample: ""
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._mlflowctl import PROGRAM, Program

OPTIONS = {
    "command": {"type": "list", "elements": "str", "required": True},
    "creates": {"type": "path"},
    "stdin": {"type": "str"},
    "program": {"type": "path", "default": PROGRAM},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    creates = module.params["creates"]
    nothing: dict[str, Any] = {"rc": 0, "result": {}, "stderr": ""}
    if creates and Path(creates).exists():
        module.exit_json(changed=False, **nothing)
    if module.check_mode:
        module.exit_json(changed=bool(creates), skipped=not creates, **nothing)
    program = Program(module.run_command, module.params["program"])
    answer = program.run(*module.params["command"], stdin=module.params["stdin"])
    result = {"rc": answer.code, "result": answer.document, "stderr": answer.stderr}
    result["changed"] = bool(answer.document.get("changed"))
    if answer.code:
        module.fail_json(msg=answer.cause, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
