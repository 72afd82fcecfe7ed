# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation that the modules share; the argument specs are in plugins/module_utils/_options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module, and what all of them support."""

    DOCUMENTATION = r"""
requirements:
  - python >= 3.11
  - google-auth
  - requests
options:
  project:
    description:
      - The Google Cloud project's ID.
      - Where it is not set, the environment variables E(GOOGLE_CLOUD_PROJECT) and
        E(CLOUDSDK_CORE_PROJECT) are looked at, in this order.
      - Requests with the credentials of a user count for this project. E(GOOGLE_CLOUD_QUOTA_PROJECT) names another one,
        in which the APIs must be enabled, too. Requests of a service account count for the project that it belongs to.
    type: str
    required: true
  auth_kind:
    description:
      - Where the credentials come from.
      - V(application) takes Google's application default credentials, which are the file that
        E(GOOGLE_APPLICATION_CREDENTIALS) names, what C(gcloud auth application-default login) left, or the service
        account of the machine this runs on.
      - V(service_account_file) takes the key in O(service_account_file).
      - V(access_token) takes the token in O(access_token).
      - Where it is not set, the environment variable E(GCP_AUTH_KIND) is looked at, which the google.cloud collection
        knows too.
    type: str
    default: application
    choices: [application, service_account_file, access_token]
  service_account_file:
    description:
      - Path to a service account's JSON key. Needed with O(auth_kind=service_account_file).
      - Where it is not set, the environment variable E(GCP_SERVICE_ACCOUNT_FILE) is looked at.
    type: path
  access_token:
    description:
      - An OAuth 2.0 access token, as C(gcloud auth print-access-token) prints it.
      - Needed with O(auth_kind=access_token).
      - Where it is not set, the environment variable E(CLOUDSDK_AUTH_ACCESS_TOKEN) is looked at.
    type: str
  impersonate_service_account:
    description:
      - E-mail address of a service account to act as.
      - A comma-separated list is a chain of delegates, the last one being the target.
      - Where it is not set, the environment variable E(CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT)
        is looked at.
    type: str
  timeout:
    description:
      - How many seconds the task may take, with all repeated requests and waits for long-running operations.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell what it would change without changing it.
    support: full
  diff_mode:
    description: Returns what differs before and after; secrets are left out.
    support: full
notes:
  - Only what is set in the task is compared and changed. What is set is meant whole,
    so that an entry dropped from a list is removed.
  - Each API's address can be changed as for gcloud, with the environment variables
    C(CLOUDSDK_API_ENDPOINT_OVERRIDES_*).
"""

    STATE = r"""
options:
  state:
    description:
      - Whether it should be there.
    type: str
    default: present
    choices: [present, absent]
"""

    WAIT = r"""
options:
  wait:
    description:
      - Whether to wait until the resource is ready.
      - With V(false) the work is started and the task returns. Run the same task again with V(true) to wait for it.
    type: bool
    default: true
"""
