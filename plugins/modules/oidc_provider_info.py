#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: oidc_provider_info
short_description: Read and check an OpenID Connect provider
version_added: 0.1.0
description:
  - Reads the discovery document of the provider and returns what OAuth2-Proxy needs to know. Fails if the provider
    cannot be reached or lacks a needed feature.
  - For the issuer C(https://accounts.google.com), the environment variable C(CLOUDSDK_AUTH_AUTH_HOST) replaces scheme
    and host of the request, as in gcloud.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  issuer:
    description: URL of the issuer.
    type: str
    required: true
  variable:
    description: Name of the role variable with the issuer, for messages.
    type: str
    default: issuer
  scopes:
    description: Scopes that sign-in requests.
    type: list
    elements: str
    default: [openid, email]
  groups_claim:
    description: Claim with the groups of a user. If empty, no groups are needed.
    type: str
    default: ''
  keys:
    description: Whether to check that the provider publishes keys.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for a response.
    type: int
    default: 20
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Read the endpoints of Google
  mlops.mlflow_gcp.oidc_provider_info:
    issuer: https://accounts.google.com
  register: provider
"""

RETURN = r"""
authorization_endpoint:
  description: URL to which browsers are sent.
  returned: success
  type: str
  sample: https://accounts.google.com/o/oauth2/v2/auth
token_endpoint:
  description: URL that exchanges a code for tokens.
  returned: success
  type: str
  sample: https://oauth2.googleapis.com/token
jwks_uri:
  description: URL of the keys that verify tokens.
  returned: success
  type: str
  sample: https://www.googleapis.com/oauth2/v3/certs
algorithms:
  description: Algorithms of ID tokens that public keys can verify.
  returned: success
  type: list
  elements: str
  sample: [RS256]
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ..module_utils import _oidc

OPTIONS = {
    "issuer": {"type": "str", "required": True},
    "variable": {"type": "str", "default": "issuer"},
    "scopes": {"type": "list", "elements": "str", "default": ["openid", "email"]},
    "groups_claim": {"type": "str", "default": ""},
    "keys": {"type": "bool", "default": False, "no_log": False},
    "timeout": {"type": "int", "default": 20},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    params = module.params
    issuer = params["issuer"]
    shown = f"{params['variable']} is {issuer}"

    def get(url: str) -> Any:
        return json.loads(open_url(url, timeout=params["timeout"]).read())

    try:
        document = _oidc.read(issuer, get)
        if found := _oidc.problems(document, issuer, scopes=params["scopes"], groups_claim=params["groups_claim"]):
            module.fail_json(msg=f"{shown}, but {'; '.join(found)}. Choose another provider, or correct its settings.")
        if params["keys"]:
            _oidc.check_keys(document, get)
    except _oidc.ProviderError as error:
        module.fail_json(
            msg=f"{shown}, but {error}. Correct {params['variable']}, or restore the connection to the provider."
        )
    endpoints = {name: document[name] for name in _oidc.ENDPOINTS}
    module.exit_json(changed=False, **endpoints, algorithms=_oidc.algorithms(document))


if __name__ == "__main__":
    main()
