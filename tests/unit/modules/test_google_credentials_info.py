# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The module that returns the kind of credentials. Its decisions: tests/unit/module_utils/test_credential_kind.py."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.mlops.mlflow_gcp.plugins.modules import google_credentials_info

from tests.unit.harness import Play


def test_it_returns_the_kind_and_no_secret(play: Play, tmp_path: Path) -> None:
    file = tmp_path / "user.json"
    file.write_text(json.dumps({"type": "authorized_user", "refresh_token": "1//secret"}))
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    nothing = dict.fromkeys(("project", "auth_kind", "access_token"))
    result = play(google_credentials_info, **nothing, environment=environment, home=str(tmp_path))
    assert {name: result[name] for name in ("changed", "kind", "file", "user", "description")} == {
        "changed": False,
        "kind": "authorized_user",
        "file": str(file),
        "user": True,
        "description": f"authorized_user of {file}",
    }
    assert "1//secret" not in str(result)
