#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_doctor
short_description: Examine an MLflow deployment
version_added: 0.2.0
description:
  - Looks at a deployment as its clients do, asks Google's APIs about it, and judges what was seen on its machine.
  - Returns a row for each check, with its state, a value and a remedy. What cannot be examined is a row too; the module
    fails only on options that make no sense.
  - Only reads, but for one run with the tag C(mlops.mlflow_gcp.doctor) and one artifact, both of which it deletes. In
    check mode not even these.
  - Made for the role P(mlops.mlflow_gcp.doctor#role), which knows how a deployment is called and looks at the machine.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
options:
  name:
    description: The deployment's name, the prefix of its resources' names.
    type: str
    required: true
  region:
    description: Region of its static address.
    type: str
    required: true
  zone:
    description: Zone of its machine.
    type: str
    required: true
  hostname:
    description: Name that clients use. Empty, they use the static address.
    type: str
    default: ''
  authority:
    description: Path of the certificate authority that clients trust. Empty, those that this host trusts.
    type: path
    default: ''
  username:
    description: The administrator.
    type: str
    default: admin
  artifacts:
    description: Where the server stores artifacts, as V(gs://my-bucket).
    type: str
    default: ''
  secrets:
    description: Secrets whose age is told. Empty, they are left out.
    type: list
    elements: str
    default: []
  minimum_version:
    description: Oldest release of MLflow that may be exposed. Empty, any may be.
    type: str
    default: ''
  advisories_url:
    description: An OSV service that is asked for known vulnerabilities. Empty, none is asked.
    type: str
    default: ''
  advisories_accepted:
    description: Advisories, by OSV's or CVE's number, that do not concern this deployment.
    type: list
    elements: str
    default: []
  artifact_megabytes:
    description: Size of the artifact that is stored and read back.
    type: int
    default: 200
  limits:
    description: From where on a check warns and fails.
    type: dict
    required: true
    suboptions:
      certificate_warn_days: {description: Days left of the server's certificate, type: int, required: true}
      certificate_fail_days: {description: Days left of the server's certificate, type: int, required: true}
      authority_warn_days: {description: Days left of the authority's certificate, type: int, required: true}
      authority_fail_days: {description: Days left of the authority's certificate, type: int, required: true}
      clock_warn_seconds: {description: Seconds between clocks, type: int, required: true}
      clock_fail_seconds: {description: Seconds between clocks, type: int, required: true}
      disk_warn_percent: {description: Used part of a disk, type: float, required: true}
      disk_fail_percent: {description: Used part of a disk, type: float, required: true}
      connections_warn_percent: {description: Used part of the database's connections, type: float, required: true}
      connections_fail_percent: {description: Used part of the database's connections, type: float, required: true}
      backup_warn_hours: {description: Age of the newest backup, type: float, required: true}
      backup_fail_hours: {description: Age of the newest backup, type: float, required: true}
      secret_warn_days: {description: Age of a secret, type: int, required: true}
  machine:
    description:
      - What the role's program saw on the machine, and when it was asked.
      - With C(error) in place of that, why it saw nothing.
    type: dict
    default: {}
  plan:
    description:
      - What the plan of the infrastructure printed (C(stdout)) and its exit code (C(rc)).
      - Empty, drift is left out.
    type: dict
    default: {}
  skip:
    description: Names of checks to leave out.
    type: list
    elements: str
    default: []
attributes:
  diff_mode:
    support: none
notes:
  - The options' values are described where a person sets them, in the role's argument specification.
"""

EXAMPLES = r"""
- name: Look at the deployment from outside
  mlops.mlflow_gcp.mlflow_doctor:
    project: my-project
    name: mlflow
    region: europe-west1
    zone: europe-west1-b
    authority: /home/me/.local/state/mlflow-gcp/my-project-mlflow/ca.pem
    limits: "{{ my_limits }}"
    machine:
      error: nobody looked
  register: examined
"""

RETURN = r"""
checks:
  description: The rows, in the order in which they are best read.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: sign-in, state: ok, value: '401 without a password, 200 as admin', remedy: ''}
counts:
  description: How many rows are in which state.
  returned: success
  type: dict
  sample: {ok: 19, warn: 1, fail: 0}
skipped:
  description: Checks that were left out.
  returned: success
  type: list
  elements: str
  sample: []
table:
  description: The rows as a text.
  returned: success
  type: str
  sample: |-
    sign-in  ok    401 without a password, 200 as admin
    1 ok, 0 warn, 0 fail
"""

import signal
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _auth, _options
from ..module_utils._client import Client
from ..module_utils._doctor_examination import API_SECONDS, IMPORT_ERROR, NAMES, Examination
from ..module_utils._doctor_rows import counts, table

LIMITS = {
    **dict.fromkeys(
        (
            "certificate_warn_days",
            "certificate_fail_days",
            "authority_warn_days",
            "authority_fail_days",
            "clock_warn_seconds",
            "clock_fail_seconds",
            "secret_warn_days",
        ),
        "int",
    ),
    **dict.fromkeys(
        (
            "disk_warn_percent",
            "disk_fail_percent",
            "connections_warn_percent",
            "connections_fail_percent",
            "backup_warn_hours",
            "backup_fail_hours",
        ),
        "float",
    ),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "zone": {"type": "str", "required": True},
    "hostname": {"type": "str", "default": ""},
    "authority": {"type": "path", "default": ""},
    "username": {"type": "str", "default": "admin"},
    "artifacts": {"type": "str", "default": ""},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "minimum_version": {"type": "str", "default": ""},
    "advisories_url": {"type": "str", "default": ""},
    "advisories_accepted": {"type": "list", "elements": "str", "default": []},
    "artifact_megabytes": {"type": "int", "default": 200},
    "limits": {
        "type": "dict",
        "required": True,
        # None of these numbers is the secret that a name may sound like.
        "options": {name: {"type": kind, "required": True, "no_log": False} for name, kind in LIMITS.items()},
    },
    "machine": {"type": "dict", "default": {}},
    "plan": {"type": "dict", "default": {}},
    "skip": {"type": "list", "elements": "str", "default": []},
}


def stop(number: int, _frame: object) -> None:
    """Told to end, it still takes away what it made; being told again does not keep it from that."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGTERM, stop)
    module = AnsibleModule(
        argument_spec={**_options.common(), **OPTIONS},
        supports_check_mode=True,
        required_if=[
            ("auth_kind", "access_token", ["access_token"]),
            ("auth_kind", "service_account_file", ["service_account_file"]),
        ],
    )
    if unknown := sorted(set(module.params["skip"]) - set(NAMES)):
        module.fail_json(msg=f"skip: {', '.join(unknown)} is no check. The checks are: {', '.join(NAMES)}.")
    if missing := _auth.IMPORT_ERROR or IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("google-auth, requests and cryptography"), exception=missing)
    session: list[Any] = []
    project = module.params["project"]

    def client() -> Client:
        # Credentials that are refused are what several rows tell, not the end of the examination.
        if not session:
            session.append(_auth.session(_auth.AuthOptions.of(module.params), project))
        return Client(session[0], project=project, timeout=min(API_SECONDS, float(module.params["timeout"])))

    examination = Examination(module.params, client, check_mode=module.check_mode)
    rows = examination.rows()
    module.exit_json(
        changed=False,
        checks=[row.document() for row in rows],
        counts=counts(rows),
        skipped=examination.skipped,
        table=table(rows),
    )


if __name__ == "__main__":
    main()
