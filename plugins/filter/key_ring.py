# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The text of a secret that holds an encryption key and the keys before it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: key_ring
short_description: Text of a secret that holds an encryption key and the keys before it
version_added: 0.1.0
description:
  - The first line is the key in use. The lines after it are earlier keys, newest first. They decrypt the rows of a
    database that was backed up before a rotation.
  - At most 10 keys are kept.
options:
  _input:
    description: A random text with at least 32 characters, which becomes the key in use.
    type: str
    required: true
  fernet:
    description: Whether to make a Fernet key of the text. Otherwise the text itself is the key.
    type: bool
    default: false
  older:
    description: Text of the secret up to now. Empty for a new secret.
    type: str
    default: ''
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Store a new passphrase before the earlier ones
  mlops.mlflow_gcp.gcp_secret:
    name: mlflow-crypto-kek-passphrase
    payload: "{{ new_passphrase | mlops.mlflow_gcp.key_ring(older=stored.payload) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The keys, one a line.
  type: str
"""

import base64
import hashlib
from collections.abc import Callable

KEPT = 10
SHORTEST = 32


def key_ring(text: str, *, fernet: bool = False, older: str = "") -> str:
    """Return the keys, one a line: one made of `text`, then those in `older`.

    Raises ValueError when `text` has fewer than 32 characters. The message does not hold the text.
    """
    if len(text) < SHORTEST:
        raise ValueError(f"key_ring: the text has {len(text)} characters. Give at least {SHORTEST} random ones")
    # Fernet takes 32 bytes. A hash keeps the randomness of a longer text.
    key = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode() if fernet else text
    earlier = [line.strip() for line in older.splitlines() if line.strip()]
    return "\n".join(dict.fromkeys([key, *earlier][:KEPT]))


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"key_ring": key_ring}
