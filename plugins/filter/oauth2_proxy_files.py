# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration files of OAuth2-Proxy."""

from __future__ import annotations

DOCUMENTATION = r"""
name: oauth2_proxy_files
short_description: The configuration files of OAuth2-Proxy
version_added: 0.1.0
description:
  - Returns the content of each file in C(/etc/oauth2-proxy). No file contains a secret.
options:
  _input:
    description:
      - C(hostname), C(issuer), C(client_id), C(prompt), C(scopes), C(groups_claim), C(extra_audiences),
        C(accept_gcloud_audience) and C(session_hours) are role variables of
        P(mlops.mlflow_gcp.authentication_oauth2_proxy#role).
      - C(domains), C(admins) and C(service_accounts) are the identities that may sign in.
      - C(provider) is the result of M(mlops.mlflow_gcp.oidc_provider_info).
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the names of the files
  ansible.builtin.debug:
    msg: "{{ (settings | mlops.mlflow_gcp.oauth2_proxy_files).keys() }}"
"""

RETURN = r"""
_value:
  description: The content of each file, by its name.
  type: dict
"""

from collections.abc import Callable

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._oauth2_proxy_configuration import files


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"oauth2_proxy_files": files}
