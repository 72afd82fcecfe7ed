# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The secret with the account at an ACME directory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: acme_account
short_description: The secret with the account at an ACME directory
version_added: 0.1.0
description:
  - Returns the stored account, or a new one with the given key. A given external account binding replaces the stored
    one.
  - If no external account binding is given, the stored one of the same directory stays. So it need not be given again
    after the first run.
options:
  _input:
    description: The stored secret, or none.
    type: str
    required: true
  key:
    description: Private key of a new account in PEM form.
    type: str
    required: true
  directory:
    description: URL of the ACME directory.
    type: str
    required: true
  eab_key_id:
    description: Key ID of the external account binding, or empty.
    type: str
    required: true
  eab_hmac_key:
    description: HMAC key of the external account binding, or empty.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Store the account
  mlops.mlflow_gcp.gcp_secret:
    project: my-project
    name: mlflow-acme-account
    payload: >-
      {{ stored.payload | mlops.mlflow_gcp.acme_account(key=new.privatekey, directory='https://acme.example.com/directory',
                                                        eab_key_id='', eab_hmac_key='') }}
  no_log: true
"""

RETURN = r"""
_value:
  description: The secret, a JSON object with C(key), C(directory), C(eab_key_id) and C(eab_hmac_key).
  type: str
"""

import json
from collections.abc import Callable


def acme_account(stored: str | None, *, key: str, directory: str, eab_key_id: str, eab_hmac_key: str) -> str:
    """Return the secret with the account. A binding is valid for one directory only."""
    former = json.loads(stored) if stored else {"key": key}
    binding = {"eab_key_id": str(eab_key_id), "eab_hmac_key": str(eab_hmac_key)}
    if not eab_key_id and former.get("directory") == directory:
        binding = {name: former[name] for name in binding}
    return json.dumps({"key": former["key"], "directory": str(directory), **binding})


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"acme_account": acme_account}
