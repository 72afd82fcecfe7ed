# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The environment of scheduled runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.timer_environment import timer_environment
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _options
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import ENDPOINTS


def test_the_package_index_and_the_proxies_are_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "UV_DEFAULT_INDEX": "https://user:secret@index.example.com/simple",
        "UV_INDEX_URL": "https://index.example.com/simple",
        "UV_CONFIG_FILE": "/etc/uv/uv.toml",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://proxy.example.com"),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "example.com"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = timer_environment({"NO_PROXY": "other.example.com"}, [], inherit=True)
    assert environment.items() - {("NO_PROXY", "example.com")} <= found.items()
    assert found["NO_PROXY"] == "other.example.com"
    assert timer_environment({"NO_PROXY": "other.example.com"}, ["/"], inherit=False) == {
        "NO_PROXY": "other.example.com"
    }


def test_all_options_of_the_modules_are_inherited_except_an_access_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token expires after an hour."""
    taken = {name for option in _options.common().values() for name in option.get("fallback", (None, []))[1]}
    for name in taken:
        monkeypatch.setenv(name, "/given")
    assert taken - timer_environment({}, [], inherit=True).keys() == {"CLOUDSDK_AUTH_ACCESS_TOKEN"}


def test_the_addresses_of_all_apis_are_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}" for api in ENDPOINTS}
    for name in names:
        monkeypatch.setenv(name, "http://127.0.0.1:8787/")
    assert names <= timer_environment({}, [], inherit=True).keys()


def test_paths_are_absolute_and_only_existing_inventories_are_passed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hosts").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "adc.json")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "")
    inventory = [str(tmp_path / "hosts"), "localhost,", str(tmp_path)]
    found = timer_environment({}, inventory, inherit=True)
    assert found["GOOGLE_APPLICATION_CREDENTIALS"] == str(tmp_path.resolve() / "adc.json")
    assert found["ANSIBLE_INVENTORY"] == f"{tmp_path}/hosts,{tmp_path}"
    assert "CLOUDSDK_CONFIG" not in found
    assert "ANSIBLE_INVENTORY" not in timer_environment({}, ["localhost,"], inherit=True)
