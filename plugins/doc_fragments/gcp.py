# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Shared documentation of the modules. The argument specifications are in plugins/module_utils/_options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes of the modules."""

    DOCUMENTATION = r"""
requirements:
  - python >= 3.11
  - google-auth
  - requests
options:
  project:
    description:
      - ID of the Google Cloud project.
      - If not set, the module uses the environment variables E(GOOGLE_CLOUD_PROJECT) and E(CLOUDSDK_CORE_PROJECT), in
        this order.
      - Requests with the credentials of a user count for this project. E(GOOGLE_CLOUD_QUOTA_PROJECT) sets another
        project, in which the APIs must also be enabled. Requests of a service account count for the account's project.
    type: str
    required: true
  auth_kind:
    description:
      - Source of the credentials.
      - V(application) uses Google's application default credentials. These are the file in
        E(GOOGLE_APPLICATION_CREDENTIALS), the file from C(gcloud auth application-default login), or the service
        account of the VM on which the module runs.
      - V(service_account_file) uses the key in O(service_account_file).
      - V(access_token) uses the token in O(access_token).
      - If not set, the module uses the environment variable E(GCP_AUTH_KIND), as the google.cloud collection does.
    type: str
    default: application
    choices: [application, service_account_file, access_token]
  service_account_file:
    description:
      - Path of a service account's JSON key. Needed with O(auth_kind=service_account_file).
      - If not set, the module uses the environment variable E(GCP_SERVICE_ACCOUNT_FILE).
    type: path
  access_token:
    description:
      - An OAuth 2.0 access token, as from C(gcloud auth print-access-token).
      - Needed with O(auth_kind=access_token).
      - If not set, the module uses the environment variable E(CLOUDSDK_AUTH_ACCESS_TOKEN).
    type: str
  impersonate_service_account:
    description:
      - E-mail address of a service account to impersonate.
      - A comma-separated list is a chain of delegates. The last account is the target.
      - If not set, the module uses the environment variable E(CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT).
    type: str
  timeout:
    description:
      - Maximum number of seconds, including repeated requests and waits for long-running operations.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Can run in C(check_mode) and report changes without making them.
    support: full
  diff_mode:
    description: Returns the differences before and after, without secrets.
    support: full
notes:
  - The module compares and changes only options that are set in the task. A value replaces the existing value, so an
    entry that is removed from a list is removed from the resource.
  - The environment variables C(CLOUDSDK_API_ENDPOINT_OVERRIDES_*) change the address of each API, as for gcloud.
"""

    STATE = r"""
options:
  state:
    description:
      - Whether the resource should exist.
    type: str
    default: present
    choices: [present, absent]
"""

    WAIT = r"""
options:
  wait:
    description:
      - Whether to wait until the resource is ready.
      - With V(false) the task starts the operation and returns. Run the same task again with V(true) to wait for it.
    type: bool
    default: true
"""

    DNS = r"""
options:
  zone:
    description: Name of the managed zone in O(project), such as V(example-com). Not its DNS name.
    type: str
    required: true
  name:
    description:
      - Full DNS name of the record sets, such as V(mlflow.example.com).
      - A trailing dot and the case of letters have no meaning.
    type: str
    required: true
"""

    # List these fragments before mlops.mlflow_gcp.gcp, whose values they replace.

    INFO = r"""
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

    SQL = r"""
options:
  timeout:
    description:
      - Maximum number of seconds, including repeated requests and waits for long-running operations.
    type: int
    default: 3600
"""

    PROGRESS = r"""
options:
  progress_file:
    description:
      - File to which the module writes its progress.
      - The task's action plugin sets this option and prints the progress every ten seconds.
    type: path
"""
