#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: google_credentials_info
short_description: Return the kind of Google credentials that a process would use
version_added: 0.1.0
description:
  - Finds the credentials that Google's libraries would use on a host with a given environment, like Application Default
    Credentials, and returns their kind. Returns no secrets and sends no requests.
  - Credentials of a user can expire at any time with the session that the organisation allows. They are not suitable
    for a timer.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
options:
  environment:
    description:
      - Environment variables of the process. The module uses E(GCP_AUTH_KIND), E(GCP_SERVICE_ACCOUNT_FILE),
        E(GOOGLE_APPLICATION_CREDENTIALS), E(CLOUDSDK_CONFIG) and E(CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT).
    type: dict
    default: {}
  home:
    description: Home directory of the user who runs the process.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Find the credentials of a timer
  mlops.mlflow_gcp.google_credentials_info:
    environment:
      GOOGLE_APPLICATION_CREDENTIALS: /etc/mlflow-gcp/workload-identity.json
    home: /root
  register: credentials

- name: Refuse credentials of a user
  ansible.builtin.assert:
    that: not credentials.user
"""

RETURN = r"""
kind:
  description:
    - The type in the credentials file, such as V(authorized_user), V(external_account_authorized_user),
      V(impersonated_service_account), V(service_account) or V(external_account).
    - V(metadata) if there is no file, so that Google's libraries use the metadata server of a VM.
  returned: success
  type: str
  sample: authorized_user
file:
  description: The credentials file. Null with the metadata server.
  returned: success
  type: str
  sample: /home/ann/.config/gcloud/application_default_credentials.json
user:
  description: Whether the credentials depend on a user's session, also by impersonation.
  returned: success
  type: bool
  sample: true
description:
  description: A description of the credentials in one line.
  returned: success
  type: str
  sample: authorized_user of /home/ann/.config/gcloud/application_default_credentials.json
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._credential_kind import CredentialsFileError, find


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "environment": {"type": "dict", "default": {}},
            "home": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    environment = {name: str(value) for name, value in module.params["environment"].items()}
    try:
        found = find(environment, module.params["home"])
    except CredentialsFileError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, kind=found.kind, file=found.file, user=found.of_a_user, description=str(found))


if __name__ == "__main__":
    main()
