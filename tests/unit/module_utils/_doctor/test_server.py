# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check results of the slots, the schema and the stored secrets."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor import server

Json = dict[str, Any]


def status(**changes: Any) -> Json:
    return {
        "switch": {
            "active": "blue",
            "slots": {
                "blue": {"version": "3.17.2", "release": "/opt/mlflow/releases/3.17.2-x", "running": True},
                "green": {"version": None, "release": None, "running": False},
            },
            "held": False,
            "traffic": "blue",
            "phase": "idle",
            "wanted": {"version": "3.17.2", "unseen": []},
            "result": {"ok": True, "kind": "reload"},
        }
        | changes
    }


def test_a_slot_is_active() -> None:
    result = server.server(status())
    assert (result.state, result.value) == ("ok", "blue 3.17.2 active; green empty stopped")


def test_no_slot_is_active() -> None:
    result = server.server(status(active="green"))
    assert result.state == "fail"
    assert "systemctl start mlflow.service" in result.remedy
    assert server.server({"switch": {"active": None, "slots": {}}}).state == "fail"


def test_maintenance_mode() -> None:
    result = server.server(status(held=True))
    assert result.state == "fail"
    assert "systemctl start mlflow-switch" in result.remedy


def test_a_cutover_is_running() -> None:
    assert server.server(status(phase="drain")).state == "warn"


def test_the_last_cutover_was_rolled_back() -> None:
    result = server.server(status(result={"ok": False, "kind": "upgrade", "cause": "smoke test: HTTP 500"}))
    assert (result.state, "the last upgrade failed: smoke test: HTTP 500" in result.value) == ("warn", True)
    assert "upgrade.yml" in result.remedy


@pytest.mark.parametrize("target", [None, "green"])
def test_nginx_sends_requests_to_another_slot(target: str | None) -> None:
    result = server.server(status(traffic=target))
    assert (result.state, f"nginx sends requests to {target or 'no slot'}" in result.value) == ("fail", True)


def test_the_desired_release_is_not_active_yet() -> None:
    result = server.server(status(wanted={"unseen": ["release", "server.json"]}))
    assert (result.state, "changed since the server started: release, server.json" in result.value) == ("warn", True)
    assert "configure.yml" in result.remedy


def heads(tracking: str | None, *, known: bool = True) -> Json:
    return {
        "heads": {
            "tracking": {"database": tracking, "code": "abc", "known": known},
            "auth": {"database": "def", "code": "def", "known": True},
        }
    }


@pytest.mark.parametrize(
    ("facts", "state", "value", "remedy"),
    [
        (heads("abc"), "ok", "tracking abc; auth def", ""),
        (heads("old"), "fail", "tracking old, but the release has abc; auth def", "playbooks/upgrade.yml"),
        (heads(None), "fail", "tracking empty, but the release has abc; auth def", "playbooks/upgrade.yml"),
        (
            heads("new", known=False),
            "fail",
            "tracking new, but the release has abc and does not know new; auth def",
            "playbooks/restore.yml",
        ),
    ],
)
def test_schema(facts: Json, state: str, value: str, remedy: str) -> None:
    result = server.schema(facts)
    assert (result.state, result.value) == (state, value)
    assert remedy in result.remedy


def test_the_schema_with_an_own_application() -> None:
    facts = heads("abc")
    del facts["heads"]["auth"]
    result = server.schema(facts)
    assert (result.state, result.value) == ("ok", "tracking abc")


def encryption(**changes: list[str]) -> Json:
    rows: Json = {kind: {"current": 1, "earlier": [], "unreadable": []} for kind in ("webhooks", "gateway")}
    for name, names in changes.items():
        kind, _, state = name.partition("_")
        rows[kind][state] = names
    return {"encryption": rows | {"changed": False}}


@pytest.mark.parametrize(
    ("facts", "state", "value", "remedy"),
    [
        (
            encryption(),
            "ok",
            "webhook secrets: 1 of 1 use the current key; gateway secrets: 1 of 1 use the current key",
            "",
        ),
        (
            encryption(gateway_earlier=["openai (s-1)"]),
            "fail",
            "webhook secrets: 1 of 1 use the current key; gateway secrets: 1 of 2 use the current key;"
            " encrypted with an earlier or public key: gateway openai (s-1)",
            "playbooks/configure.yml",
        ),
        (
            encryption(webhooks_unreadable=["ci (w-1)"], gateway_earlier=["openai (s-1)"]),
            "fail",
            "webhook secrets: 1 of 2 use the current key; gateway secrets: 1 of 2 use the current key;"
            " no key decrypts webhook ci (w-1)",
            "rotate_unreadable_webhooks=disabled",
        ),
    ],
)
def test_stored_secrets(facts: Json, state: str, value: str, remedy: str) -> None:
    """Rows under a random key or under MLflow's public passphrase are reported with a remedy."""
    result = server.encryption(facts)
    assert (result.state, result.value) == (state, value)
    assert remedy in result.remedy


@pytest.mark.parametrize(
    ("used", "cause", "state", "value"),
    [
        (False, "", "ok", "not used"),
        (True, "", "ok", "signs for the VM"),
        (True, "Forbidden: 403 iam.serviceAccounts.signBlob", "warn", "does not sign: Forbidden: 403 iam."),
    ],
)
def test_signed_urls(used: bool, cause: str, state: str, value: str) -> None:
    result = server.signed_urls({"signed_urls": {"used": used, "cause": cause}})
    assert (result.state, value in result.value) == (state, True)
    assert ("mlflow_direct_transfers" in result.remedy) == (state == "warn")
