# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The environment of the scheduled runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.template import trust_as_template
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _options

from tests.unit.roles.evaluated import load, render

GIVEN: dict[str, Any] = {"schedule_environment": {}, "schedule_inherit_environment": True}


def test_the_timer_finds_the_package_index_as_its_installer_did(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "UV_DEFAULT_INDEX": "https://user:secret@index.example.com/simple",
        "UV_INDEX_URL": "https://index.example.com/simple",
        "UV_CONFIG_FILE": "/etc/uv/uv.toml",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://proxy.example.com"),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "example.com"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    variables = load("vars/main.yml", "schedule")
    found = render(
        variables["__schedule_environment"],
        variables,
        GIVEN | {"schedule_environment": {"NO_PROXY": "other.example.com"}},
    )
    assert given.items() - {("NO_PROXY", "example.com")} <= found.items()
    assert found["NO_PROXY"] == "other.example.com"
    keep = next(
        each
        for each in load("tasks/install_timer.yml", "schedule")
        if "environment" in str(each.get("ansible.builtin.template"))
    )
    assert keep["ansible.builtin.template"]["mode"] == "0600"
    assert keep["no_log"] is True


def test_the_timer_asks_as_its_installer_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variables with credentials of the modules are inherited, except a token, which expires after an hour."""
    options = _options.common()
    taken = {name for option in options.values() for name in option.get("fallback", (None, []))[1]}
    for name in taken:
        monkeypatch.setenv(name, "/given")
    variables = load("vars/main.yml", "schedule")
    found = render(variables["__schedule_environment"], variables, GIVEN)
    assert taken - found.keys() == {"CLOUDSDK_AUTH_ACCESS_TOKEN"}
    check = next(
        each
        for each in load("tasks/check_variables.yml", "schedule")
        if each["name"] == "Assert that the credentials are not an access token"
    )
    condition = trust_as_template("{{ " + check["ansible.builtin.assert"]["that"] + " }}")
    for kind, more, lasts in [
        ("application", {}, True),
        ("service_account_file", {}, True),
        ("access_token", {}, False),
        ("access_token", {"CLOUDSDK_AUTH_ACCESS_TOKEN": "mine"}, True),
    ]:
        monkeypatch.setenv("GCP_AUTH_KIND", kind)
        assert render(condition, variables, GIVEN | {"schedule_environment": more}) is lasts


def test_a_schedule_is_removed_without_asking_the_cloud() -> None:
    _describes, asks = load("../playbooks/schedule_upgrade.yml", "")[0]["tasks"]
    assert asks["ansible.builtin.import_role"]["tasks_from"] == "preflight"
    states = [({}, True), ({"schedule_state": "present"}, True), ({"schedule_state": "absent"}, False)]
    assert [render(trust_as_template("{{ " + asks["when"] + " }}"), given) for given, _ in states] == [
        w for _, w in states
    ]
