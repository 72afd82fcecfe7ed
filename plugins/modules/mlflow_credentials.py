#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_credentials
short_description: Fetch secrets into the credential store of the VM
version_added: 0.1.0
description:
  - Runs the program that P(mlops.mlflow_gcp.credentials#role) installs. It reads secrets from Secret Manager with the
    service account of the VM and writes them to C(/run/credstore). Values never appear in the result.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  items:
    description:
      - The secrets to fetch. If not set, the ones that the role configured.
      - The alias V(latest) may refer to a former version for some time. Give a number to fetch a version at once.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the credential.
        type: str
        required: true
      secret:
        description: Name of the secret.
        type: str
        required: true
      version:
        description: Version of the secret.
        type: str
        default: latest
  project:
    description: Project of the O(items). If empty, the project of the VM.
    type: str
    default: ''
  timeout:
    description: Seconds to try again after transient errors.
    type: int
    default: 120
  program:
    description: Path of the program.
    type: path
    default: /usr/local/lib/mlflow-credentials/fetch.py
attributes:
  check_mode:
    description: Reads the secrets and writes nothing in C(check_mode).
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Fetch the new version of the database URI
  mlops.mlflow_gcp.mlflow_credentials:
    project: my-project
    items:
      - name: mlflow.database-uri
        secret: mlflow-database-uri
        version: "3"
"""

RETURN = r"""
credentials:
  description: Names of the changed credentials.
  returned: always
  type: list
  elements: str
  sample: [mlflow.database-uri]
installed:
  description: Whether the program is installed. In check mode of the first run it is not.
  returned: always
  type: bool
  sample: true
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ITEM = {
    "name": {"type": "str", "required": True},
    "secret": {"type": "str", "required": True, "no_log": False},
    "version": {"type": "str", "default": "latest"},
}
OPTIONS = {
    "items": {"type": "list", "elements": "dict", "options": ITEM},
    "project": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 120},
    "program": {"type": "path", "default": "/usr/local/lib/mlflow-credentials/fetch.py"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    params = module.params
    if not Path(params["program"]).exists():
        if module.check_mode:
            module.exit_json(changed=True, credentials=[], installed=False)
        module.fail_json(msg=f"{params['program']} is not installed on this VM. Run site.yml first.")
    command = ["/usr/bin/python3", params["program"], "--timeout", str(params["timeout"])]
    command += ["--dry-run"] if module.check_mode else []
    given = None
    if params["items"] is not None:
        command += ["--config", "/dev/stdin"]
        given = json.dumps({"project": params["project"], "items": params["items"]})
    code, stdout, stderr = module.run_command(command, data=given)
    if code:
        lines = stderr.strip().splitlines() or [f"the program ended with exit code {code}"]
        module.fail_json(msg=lines[-1])
    names = json.loads(stdout)["changed"]
    module.exit_json(changed=bool(names), credentials=names, installed=True)


if __name__ == "__main__":
    main()
