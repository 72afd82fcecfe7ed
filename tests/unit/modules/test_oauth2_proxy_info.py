# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Facts of OAuth2-Proxy on the VM: no secret, and each error is the result of its part."""

from __future__ import annotations

import io
import json
import os
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._oauth2_proxy_configuration import files
from ansible_collections.mlops.mlflow_gcp.plugins.modules import oauth2_proxy_info

from tests.unit.harness import Play
from tests.unit.module_utils.test_oauth2_proxy_configuration import SETTINGS

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}
SECRET = "the-client-secret"


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a VM with fake programs."""
    programs = {
        "systemctl": "echo ActiveState=active; echo SubState=running; echo NRestarts=0; echo Result=success",
        "oauth2-proxy": "echo 'oauth2-proxy v7.15.6 (built with go1.26.8)'",
    }
    (tmp_path / "bin").mkdir()
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    for name, text in files(SETTINGS).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "client").write_text(SECRET + "\n", encoding="utf-8")
    (tmp_path / "client").chmod(0o600)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def examine(play: Play, vm: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def examine(answer: Any = None) -> dict[str, Any]:
        document = {"issuer": SETTINGS["issuer"], **SETTINGS["provider"]}

        def open_url(url: str, **_: Any) -> io.BytesIO:
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(json.dumps(document if "well-known" in url else {"keys": [{}]}).encode())

        monkeypatch.setattr(oauth2_proxy_info, "open_url", open_url)
        options = {"issuer": SETTINGS["issuer"], "files": [str(vm / "client"), str(vm / "cookie")]}
        options |= {"program": str(vm / "bin" / "oauth2-proxy"), "configuration": str(vm)}
        found = play(oauth2_proxy_info, **OWN, **options)
        assert SECRET not in json.dumps(found)
        return dict(found["facts"])

    return examine


def test_the_facts(examine: Any) -> None:
    found = examine()
    assert found["units"]["oauth2-proxy.socket"]["ActiveState"] == "active"
    assert found["version"] == "7.15.6"
    assert found["configuration"]["redirect_uri"] == "https://mlflow.example.com/oauth2/callback"
    assert found["configuration"]["jwks_uri"] == found["provider"]["jwks_uri"]


def test_a_secret_is_described_and_never_shown(examine: Any) -> None:
    described = {"present": True, "size": len(SECRET) + 1, "mode": "0600", "white_space": True}
    assert examine()["secrets"] == {"client": described, "cookie": {"present": False}}


def test_an_error_is_the_result_of_its_part(examine: Any, vm: Path) -> None:
    (vm / "bin" / "systemctl").write_text("#!/bin/sh\necho 'no bus' >&2\nexit 1\n", encoding="utf-8")
    (vm / "bin" / "oauth2-proxy").unlink()
    (vm / "oauth2-proxy.yaml").unlink()
    found = examine(urllib.error.URLError("no route to host"))
    assert found["units"]["error"].endswith("no bus")
    assert "oauth2-proxy" in found["version"]["error"]
    assert "oauth2-proxy.yaml" in found["configuration"]["error"]
    assert "no route to host" in found["provider"]["error"]
    assert found["secrets"]["client"]["present"] is True
