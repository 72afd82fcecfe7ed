# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The account at an ACME directory and its external account binding."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.filter.acme_account import acme_account

BINDING = {"eab_key_id": "kid-1", "eab_hmac_key": "a2V5"}
NONE = {"eab_key_id": "", "eab_hmac_key": ""}


def account(stored: dict[str, str] | None, directory: str = "https://a.test/dir", **given: str) -> Any:
    text = json.dumps(stored) if stored else None
    return json.loads(acme_account(text, key="NEW", directory=directory, **(NONE | given)))


def test_a_binding_stays_for_its_directory_only() -> None:
    """The next directory would refuse it, and the message would not name it."""
    stored = account(None, **BINDING)
    assert stored == {"key": "NEW", "directory": "https://a.test/dir", **BINDING}
    stored["key"] = "STORED"
    assert account(stored) == stored
    assert account(stored, "https://b.test/dir") == {"key": "STORED", "directory": "https://b.test/dir", **NONE}
    other = {"eab_key_id": "kid-2", "eab_hmac_key": "b3Ro"}
    assert account(stored, **other) == stored | other
