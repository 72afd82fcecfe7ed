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
    description:
      - Runs nothing in C(check_mode). The task is changed if the file O(creates) does not exist, and skipped without
        O(creates).
      - Set C(check_mode) to V(false) on a task that only reads.
    support: partial
  diff_mode:
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

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {
    "command": {"type": "list", "elements": "str", "required": True},
    "creates": {"type": "path"},
    "stdin": {"type": "str"},
    "program": {"type": "path", "default": "/usr/local/bin/mlflowctl"},
}


def parse(text: str) -> dict[str, Any]:
    """Return the document in the output of a command."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def cause(code: int, stderr: str) -> str:
    """Return the cause of a failure: the last line of the messages."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"mlflowctl ended with exit code {code}"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    program, creates = module.params["program"], module.params["creates"]
    nothing: dict[str, Any] = {"rc": 0, "result": {}, "stderr": ""}
    if creates and Path(creates).exists():
        module.exit_json(changed=False, **nothing)
    if module.check_mode:
        module.exit_json(changed=bool(creates), skipped=not creates, **nothing)
    if not Path(program).exists():
        message = f"{program} is not installed on this VM. Run site.yml first."
        module.fail_json(msg=message, **nothing | {"rc": 127})
    code, stdout, stderr = module.run_command([program, *module.params["command"]], data=module.params["stdin"])
    document = parse(stdout)
    answer = {"changed": bool(document.get("changed")), "rc": code, "result": document, "stderr": stderr}
    if code:
        module.fail_json(msg=cause(code, stderr), **answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
