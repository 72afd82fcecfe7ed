# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""CA certificates that clients trust while an ACME directory is the source of the certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
name: trust_bundle
short_description: CA certificates for a server whose certificate an ACME directory will issue
version_added: 0.1.0
description:
  - Returns the certificate of the deployment's own CA, followed by given CA certificates, or by the CA certificates
    that Python's requests trusts on the control node. E(REQUESTS_CA_BUNDLE) may be a file or a directory.
options:
  _input:
    description: The certificate of the own CA in PEM form.
    type: str
    required: true
  given:
    description: CA certificates in PEM form. If empty, the ones of the control node.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Write the CA certificates
  ansible.builtin.copy:
    dest: /tmp/trust.pem
    content: "{{ authority | mlops.mlflow_gcp.trust_bundle(given='') }}"
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The certificates in PEM form.
  type: str
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

# A dependency of the control node. The import test of ansible-test runs without it.
with contextlib.suppress(ImportError):
    from requests.utils import DEFAULT_CA_BUNDLE_PATH


def trust_bundle(authority: str, *, given: str) -> str:
    """Return the certificates in PEM form."""
    if not given:
        path = Path(os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH)
        # OpenSSL reads the files of a directory whose name is a hash, such as 5ad8a5d6.0.
        files = sorted(path.glob("*.[0-9]")) if path.is_dir() else [path]
        given = "\n".join(file.read_text(encoding="utf-8").strip() for file in files)
    return f"{authority.strip()}\n{given.strip()}\n"


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"trust_bundle": trust_bundle}
