#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_demo
short_description: Run MLflow's own demo against a deployment
version_added: 0.1.0
description:
  - Runs C(mlflow demo) against a deployment. Checks that the demo's traces, runs and prompts exist, and deletes them.
  - MLflow only hides deleted items. C(mlflow gc) removes them.
  - The module reads the administrator's password from Secret Manager and passes it to MLflow only.
  - Used by P(mlops.mlflow_gcp.doctor#role).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
options:
  name:
    description: Name of the deployment, which is the prefix of its resources' names.
    type: str
    required: true
  region:
    description: Region of the deployment's static address.
    type: str
    required: true
  hostname:
    description: DNS name that clients use. If empty, they use the static address.
    type: str
    default: ''
  ca_file:
    description: Path of the CA certificate that clients trust. If empty, the CAs of the control node are used.
    type: path
    default: ''
  username:
    description: User of the requests.
    type: str
    required: true
  password_secret:
    description: ID of the secret with the password of O(username).
    type: str
    required: true
  python:
    description: Python interpreter of an environment with MLflow.
    type: path
    required: true
  program:
    description: The program that runs the demo and prints the result, the role's C(files/demo.py).
    type: path
    required: true
  keep:
    description: Whether to keep the demo's data.
    type: bool
    default: false
attributes:
  check_mode:
    description: Runs nothing in C(check_mode).
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Run MLflow's demo
  mlops.mlflow_gcp.mlflow_demo:
    project: my-project
    name: mlflow
    region: europe-west1
    ca_file: /home/me/.local/state/mlflow-gcp/my-project-mlflow/ca.pem
    username: admin
    password_secret: mlflow-admin-password
    python: /tmp/client/bin/python
    program: demo.py
"""

RETURN = r"""
version:
  description: Version of the MLflow client that ran the demo.
  returned: when the demo ran
  type: str
  sample: 3.17.2
seconds:
  description: Duration of the demo.
  returned: when the demo ran
  type: float
  sample: 31.4
before:
  description: Number of the demo's items before the demo.
  returned: when the demo ran
  type: dict
  sample: {experiments: 0, traces: 0, runs: 0, prompts: 0}
made:
  description: Number of the demo's items after the demo.
  returned: when the demo ran
  type: dict
  sample: {experiments: 1, traces: 60, runs: 3, prompts: 4}
remaining:
  description: Number of the demo's items after the deletion.
  returned: if the demo's data was deleted
  type: dict
  sample: {experiments: 0, traces: 0, runs: 0, prompts: 0}
kept:
  description: Whether the data is kept, because O(keep) is set or because demo data existed before.
  returned: when the demo ran
  type: bool
  sample: false
"""

import json
import os
import subprocess

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _auth, _options
from ..module_utils._advice import login
from ..module_utils._client import Client
from ..module_utils._doctor.cloud import Cloud
from ..module_utils._doctor.results import NotCheckedError, one_line

OPTIONS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "hostname": {"type": "str", "default": ""},
    "ca_file": {"type": "path", "default": ""},
    "username": {"type": "str", "required": True},
    "password_secret": {"type": "str", "required": True, "no_log": False},
    "python": {"type": "path", "required": True},
    "program": {"type": "path", "required": True},
    "keep": {"type": "bool", "default": False},
}


# The remaining time is for counting and deleting the demo's items.
DEMO_PART = 2 / 3
CLEAN_UP = (
    "If data of the demo remains, delete the experiment 'MLflow Demo' and the prompts 'mlflow-demo.…' in the browser."
    " Otherwise the next run keeps this data as existing data."
)


def environment(cloud: Cloud, params: dict[str, str]) -> dict[str, str]:
    """Return the environment of an MLflow client, based on this process's environment."""
    host = params["hostname"] or cloud.address(f"{params['name']}-address")
    known = {
        "MLFLOW_TRACKING_URI": f"https://{host}",
        "MLFLOW_TRACKING_USERNAME": params["username"],
        "MLFLOW_TRACKING_PASSWORD": cloud.secret(params["password_secret"]).rstrip("\r\n"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    if params["ca_file"]:
        known["MLFLOW_TRACKING_SERVER_CERT_PATH"] = params["ca_file"]
        # The demo's first request checks that the server is available. It does not use MLflow's TLS settings.
        known["REQUESTS_CA_BUNDLE"] = params["ca_file"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return own | known


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**_options.common(), **OPTIONS},
        supports_check_mode=True,
        required_if=[
            ("auth_kind", "access_token", ["access_token"]),
            ("auth_kind", "service_account_file", ["service_account_file"]),
        ],
    )
    params = module.params
    if _auth.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("google-auth and requests"), exception=_auth.IMPORT_ERROR)
    if module.check_mode:
        module.exit_json(changed=params["keep"])
    auth = _auth.AuthOptions.of(params)
    try:
        session = _auth.session(auth, params["project"])
        client = Client(session, project=params["project"], timeout=float(params["timeout"]))
        known = environment(Cloud(client, params["project"], params["region"], "", auth), params)
    except NotCheckedError as error:
        module.fail_json(msg=f"Cannot find the deployment {params['name']}: {error}. {error.remedy}")
    except Exception as error:  # google-auth raises its own errors, OSError and ValueError
        module.fail_json(msg=f"Cannot use the Google credentials: {one_line(error)}. {login(auth)}")
    seconds = str(params["timeout"] * DEMO_PART)
    argv = [params["python"], params["program"], seconds, *(["keep"] if params["keep"] else [])]
    try:
        done = subprocess.run(
            argv,
            env=known,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=params["timeout"],
            check=False,
        )
        answer = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=f"Cannot run the demo: {type(error).__name__}: {one_line(error)}. {CLEAN_UP}")
    if not answer:
        module.fail_json(msg=f"Cannot run the demo: {one_line(done.stderr[-1000:], 1000)}. {CLEAN_UP}")
    if answer["rc"]:
        output = one_line(answer["output"], 2000)
        module.fail_json(
            msg=f"mlflow demo ended with exit code {answer['rc']}: {output}. {CLEAN_UP}",
            **{key: answer[key] for key in ("before", "made", "remaining") if key in answer},
        )
    module.exit_json(changed=answer["kept"] and answer["made"] != answer["before"], **answer)


if __name__ == "__main__":
    main()
