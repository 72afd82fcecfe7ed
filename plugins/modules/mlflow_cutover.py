#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_cutover
short_description: Roll back MLflow, or describe a failed upgrade
version_added: 0.1.0
description:
  - Runs several commands of C(mlflowctl) on the VM, decides on their results and describes the outcome.
  - Used by P(mlops.mlflow_gcp.upgrade#role).
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  action:
    description:
      - V(plan_rollback) checks that a rollback is possible, and lists its consequences. It only reads.
      - V(rollback) activates the release before the last upgrade. The module fails unless the server is ready then.
      - V(explain) waits until the VM has rolled back after the O(failure) of an upgrade. It describes the outcome.
    type: str
    choices: [plan_rollback, rollback, explain]
    required: true
  timeout:
    description: Seconds to wait for the end of a cutover.
    type: int
    default: 3600
  failure:
    description: The failed upgrade. Required for V(explain).
    type: dict
    suboptions:
      version_before:
        description: Version before the upgrade.
        type: str
        required: true
      version:
        description: Version of the upgrade.
        type: str
        required: true
      step:
        description: Step that failed on the control node.
        type: str
        required: true
      task_message:
        description: Message of the failed task.
        type: str
        default: ''
      output:
        description: Lines that the program of the failed task printed to standard error.
        type: list
        elements: str
        default: []
      id:
        description: ID of the cutover. Empty if no cutover was requested.
        type: str
        default: ''
      downtime:
        description: The measurement of the downtime. Empty if the downtime was not measured.
        type: dict
        default: {}
      backup:
        description: Description of the backup before the upgrade. Empty if there is none.
        type: str
        default: ''
  program:
    description: Path of the program.
    type: path
    default: /usr/local/bin/mlflowctl
attributes:
  check_mode:
    description: In C(check_mode) V(rollback) changes nothing.
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: List the consequences of a rollback
  mlops.mlflow_gcp.mlflow_cutover:
    action: plan_rollback
  register: plan

- name: Roll back
  mlops.mlflow_gcp.mlflow_cutover:
    action: rollback
"""

RETURN = r"""
consequences:
  description: The consequences of the rollback, one line each.
  returned: for V(plan_rollback)
  type: list
  elements: str
  sample: [MLflow 3.18.0 → 3.17.2]
previous:
  description: The release of the rollback.
  returned: for V(plan_rollback)
  type: dict
  sample: {version: 3.17.2, release: /opt/mlflow/releases/3.17.2-3e572111b534, migrated: true, id: 20261121T120000Z}
result:
  description: The result of the cutover.
  returned: for V(rollback)
  type: dict
  sample: {ok: true, held_seconds: 12.5}
message:
  description: Description of the outcome.
  returned: for V(explain)
  type: str
  sample: 'The upgrade from MLflow 3.17.2 to 3.18.0 failed at "cutover, watch": the new server crashed.'
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._cutover import Cutover, Failure
from ..module_utils._mlflowctl import PROGRAM, CommandError, Program

FAILURE = {
    "version_before": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "step": {"type": "str", "required": True},
    "task_message": {"type": "str", "default": ""},
    "output": {"type": "list", "elements": "str", "default": []},
    "id": {"type": "str", "default": ""},
    "downtime": {"type": "dict", "default": {}},
    "backup": {"type": "str", "default": ""},
}
OPTIONS = {
    "action": {"type": "str", "required": True, "choices": ["plan_rollback", "rollback", "explain"]},
    "timeout": {"type": "int", "default": 3600},
    "failure": {"type": "dict", "options": FAILURE},
    "program": {"type": "path", "default": PROGRAM},
}


def perform(cutover: Cutover, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Perform the action; return the result of the module."""
    if params["action"] == "plan_rollback":
        status, consequences = cutover.plan_rollback()
        return {"changed": False, "consequences": consequences, "previous": status["previous"]}
    if params["action"] == "explain":
        failure = Failure(**params["failure"])
        return {"changed": False, "message": cutover.explain(failure, params["timeout"])}
    return {"changed": True, "result": {} if check else cutover.rollback(params["timeout"])}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, required_if=[("action", "explain", ["failure"])], supports_check_mode=True)
    cutover = Cutover(Program(module.run_command, module.params["program"]))
    try:
        result = perform(cutover, module.params, check=module.check_mode)
    except CommandError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
