# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._advice import login
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._auth import AuthOptions


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A key's file."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"client_email": "deployer@p.iam.gserviceaccount.com", "private_key": "hidden"}))
    return str(path)


def test_a_key_in_the_environment_goes_before_a_login(key: str) -> None:
    said = login(AuthOptions(), {"GOOGLE_APPLICATION_CREDENTIALS": key})
    assert f"GOOGLE_APPLICATION_CREDENTIALS '{key}' (account deployer@p.iam.gserviceaccount.com)" in said
    assert "unset it and log in with `gcloud auth application-default login`" in said
    assert "hidden" not in said


def test_a_key_in_the_settings(key: str) -> None:
    said = login(AuthOptions("service_account_file", key), {"GOOGLE_APPLICATION_CREDENTIALS": "/another.json"})
    assert f"service_account_file '{key}' (account deployer@p.iam.gserviceaccount.com)" in said
    assert "/another.json" not in said


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "\ud800"])
def test_a_file_that_is_no_key_has_no_account(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogatepass"))
    assert f"'{path}'. Export" in login(AuthOptions(), {"GOOGLE_APPLICATION_CREDENTIALS": str(path)})


def test_a_token_is_not_told() -> None:
    said = login(AuthOptions("access_token", access_token="ya29.x"), {})
    assert "CLOUDSDK_AUTH_ACCESS_TOKEN" in said
    assert "ya29.x" not in said


def test_whom_it_acts_as() -> None:
    said = login(AuthOptions(impersonate_service_account="target@p.iam.gserviceaccount.com"), {})
    assert "Log in with `gcloud auth application-default login`" in said
    assert "act as target@p.iam.gserviceaccount.com (impersonate_service_account)" in said
