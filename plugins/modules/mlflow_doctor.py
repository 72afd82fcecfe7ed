#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_doctor
short_description: Check an MLflow deployment
version_added: 0.1.0
description:
  - Checks a deployment from the point of view of its clients, through Google's APIs, and with facts from its VM.
  - Returns a result for each check, with its state, a value and a remedy. A check that cannot run also has a result.
    The module fails only on invalid options.
  - Only reads, except for one run with the tag C(mlops.mlflow_gcp.doctor) and one artifact. The module deletes both.
    In check mode it does not create them.
  - Used by the role P(mlops.mlflow_gcp.doctor#role), which knows the names of a deployment and collects the facts of
    the VM.
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
  zone:
    description: Zone of the deployment's VM.
    type: str
    required: true
  hostname:
    description: DNS name that clients use. If empty, they use the static address.
    type: str
    default: ''
  managed_zone:
    description: Managed zone of Cloud DNS in which the playbooks write the record of O(hostname). Empty without one.
    type: str
    default: ''
  ca_file:
    description:
      - Path of the CA certificates that clients trust, the deployment's own CA first.
      - If empty, the CAs of the control node are used.
    type: path
    default: ''
  certificate_source:
    description: Source of the server certificate.
    type: str
    choices: [ca, files, acme]
    default: ca
  username:
    description: User of the requests. Empty for an own application, where the checks that need a user are skipped.
    type: str
    required: true
  password_secret:
    description: ID of the secret with the password of O(username). Empty without a user.
    type: str
    required: true
  artifact_store:
    description: Artifact store of the server, such as V(gs://my-bucket).
    type: str
    default: ''
  secrets:
    description: Secrets whose age is checked. If empty, no age is checked.
    type: list
    elements: str
    default: []
  minimum_version:
    description: Oldest MLflow release that may be exposed. If empty, any release may be exposed.
    type: str
    default: ''
  advisories_url:
    description: URL of an OSV service to ask for known vulnerabilities. If empty, no service is asked.
    type: str
    default: ''
  advisories_accepted:
    description: OSV or CVE numbers of advisories that do not affect this deployment.
    type: list
    elements: str
    default: []
  artifact_megabytes:
    description: Size of the artifact that the module stores and reads back.
    type: int
    default: 200
  limits:
    description: Limits from which a check warns or fails.
    type: dict
    required: true
    suboptions:
      certificate_warn_days: {description: Remaining days of the server's certificate, type: int, required: true}
      certificate_fail_days: {description: Remaining days of the server's certificate, type: int, required: true}
      ca_warn_days: {description: Remaining days of the CA's certificate, type: int, required: true}
      ca_fail_days: {description: Remaining days of the CA's certificate, type: int, required: true}
      clock_warn_seconds: {description: Difference between the clocks in seconds, type: int, required: true}
      clock_fail_seconds: {description: Difference between the clocks in seconds, type: int, required: true}
      disk_warn_percent: {description: Used part of a disk, type: float, required: true}
      disk_fail_percent: {description: Used part of a disk, type: float, required: true}
      connections_warn_percent: {description: Used part of the database's connections, type: float, required: true}
      connections_fail_percent: {description: Used part of the database's connections, type: float, required: true}
      backup_warn_hours: {description: Age of the newest backup, type: float, required: true}
      backup_fail_hours: {description: Age of the newest backup, type: float, required: true}
      secret_warn_days: {description: Age of a secret, type: int, required: true}
  vm_facts:
    description: The request for the facts of the VM. If it is not set, the checks of the VM report that.
    type: dict
    suboptions:
      vm:
        description: Name of the VM, for messages.
        type: str
        required: true
      response:
        description: Registered result of C(mlflowctl examine). Empty if the inventory has no such VM.
        type: dict
        default: {}
      asked_at:
        description: Time before the request, in seconds since the epoch.
        type: float
        default: 0
      answered_at:
        description: Time after the request, in seconds since the epoch.
        type: float
        default: 0
  authentication:
    description: The authentication mode. If it is not set, the checks of modes do not run.
    type: dict
    suboptions:
      name:
        description: Value of C(mlflow_authentication).
        type: str
        required: true
      examined:
        description: The facts that the role of the mode collected on the VM. Empty without facts.
        type: dict
        default: {}
  plan:
    description:
      - Registered result of the command that printed the plan of the infrastructure.
      - If empty, drift is not checked.
    type: dict
    default: {}
  skip:
    description: Names of checks to skip.
    type: list
    elements: str
    default: []
attributes:
  diff_mode:
    support: none
notes:
  - The role's argument specification describes the values of the options, because users set them there.
"""

EXAMPLES = r"""
- name: Check the deployment without facts from the VM
  mlops.mlflow_gcp.mlflow_doctor:
    project: my-project
    name: mlflow
    username: admin
    password_secret: mlflow-admin-password
    region: europe-west1
    zone: europe-west1-b
    ca_file: /home/me/.local/state/mlflow-gcp/my-project-mlflow/ca.pem
    limits: "{{ my_limits }}"
  register: doctor
"""

RETURN = r"""
checks:
  description: The check results, in the recommended reading order.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: authentication, state: ok, value: '401 without a password, 200 as admin', remedy: ''}
counts:
  description: Number of check results in each state.
  returned: success
  type: dict
  sample: {ok: 19, warn: 1, fail: 0}
skipped:
  description: Names of the skipped checks.
  returned: success
  type: list
  elements: str
  sample: []
table:
  description: The check results as text.
  returned: success
  type: str
  sample: |-
    authentication  ok    401 without a password, 200 as admin
    1 ok, 0 warn, 0 fail
"""

import signal
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _auth, _options
from ..module_utils._client import Client
from ..module_utils._doctor.checks import API_SECONDS, IMPORT_ERROR, NAMES, Checks
from ..module_utils._doctor.results import counts, table

LIMITS = {
    **dict.fromkeys(
        (
            "certificate_warn_days",
            "certificate_fail_days",
            "ca_warn_days",
            "ca_fail_days",
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
    "managed_zone": {"type": "str", "default": ""},
    "ca_file": {"type": "path", "default": ""},
    "certificate_source": {"type": "str", "choices": ["ca", "files", "acme"], "default": "ca"},
    "username": {"type": "str", "required": True},
    "password_secret": {"type": "str", "required": True, "no_log": False},
    "artifact_store": {"type": "str", "default": ""},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "minimum_version": {"type": "str", "default": ""},
    "advisories_url": {"type": "str", "default": ""},
    "advisories_accepted": {"type": "list", "elements": "str", "default": []},
    "artifact_megabytes": {"type": "int", "default": 200},
    "limits": {
        "type": "dict",
        "required": True,
        # These options are numbers. The word "secret" in a name would make Ansible expect a secret value.
        "options": {name: {"type": kind, "required": True, "no_log": False} for name, kind in LIMITS.items()},
    },
    "vm_facts": {
        "type": "dict",
        "options": {
            "vm": {"type": "str", "required": True},
            "response": {"type": "dict", "default": {}},
            "asked_at": {"type": "float", "default": 0},
            "answered_at": {"type": "float", "default": 0},
        },
    },
    "authentication": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "examined": {"type": "dict", "default": {}},
        },
    },
    "plan": {"type": "dict", "default": {}},
    "skip": {"type": "list", "elements": "str", "default": []},
}


def stop(number: int, _frame: object) -> None:
    """Exit on a signal, so that cleanup runs. Ignore a second signal."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main() -> None:
    """Run the module."""
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
        module.fail_json(msg=f"skip: unknown check {', '.join(unknown)}. Known checks: {', '.join(NAMES)}.")
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("google-auth, requests and cryptography"), exception=IMPORT_ERROR)
    session: list[Any] = []
    project = module.params["project"]

    def client() -> Client:
        # Several check results report refused credentials, so do not fail here.
        if not session:
            session.append(_auth.session(_auth.AuthOptions.of(module.params), project))
        return Client(session[0], project=project, timeout=min(API_SECONDS, float(module.params["timeout"])))

    checks = Checks(module.params, client, check_mode=module.check_mode)
    results = checks.results()
    module.exit_json(
        changed=False,
        checks=[result.document() for result in results],
        counts=counts(results),
        skipped=checks.skipped,
        table=table(results),
    )


if __name__ == "__main__":
    main()
