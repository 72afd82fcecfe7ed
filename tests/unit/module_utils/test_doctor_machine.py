# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check results of the doctor for the state of the VM."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _doctor_machine as doctor
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor_rows import UnexaminedError

Json = dict[str, Any]
UNSEEN = {"error": "Permission denied (publickey)"}
CHECKS = {
    "disk": lambda facts: doctor.disk(facts, 80, 90),
    "units": doctor.units,
    "server": doctor.server,
    "schema": doctor.schema,
    "encryption": doctor.stored_secrets,
    "connections": lambda facts: doctor.connections(facts, 70, 90),
    "database-disk": lambda facts: doctor.database_disk(facts, {}, 80, 90),
}
PARTS = {
    "disk": "disks",
    "units": "units",
    "server": "switch",
    "schema": "heads",
    "encryption": "encryption",
    "connections": "size",
    "database-disk": "size",
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_machine_that_was_not_seen(name: str) -> None:
    with pytest.raises(UnexaminedError, match="nobody could look at the machine") as error:
        CHECKS[name](UNSEEN)
    assert error.value.remedy == "see the row machine"


@pytest.mark.parametrize("name", CHECKS)
def test_a_part_that_was_not_seen(name: str) -> None:
    with pytest.raises(UnexaminedError, match=r"schema\.py ended with 1"):
        CHECKS[name]({PARTS[name]: {"error": "schema.py ended with 1"}})
    with pytest.raises(UnexaminedError, match="tells nothing"):
        CHECKS[name]({})


def disk(path: str, used: float, files: float = 1.0) -> Json:
    return {"path": path, "size": 30e9, "free": 2e9, "used_percent": used, "used_files_percent": files}


@pytest.mark.parametrize(
    ("disks", "state", "value"),
    [
        ([disk("/", 50)], "ok", "/ 50 % used, 2.0 GB free"),
        ([disk("/", 50), disk("/var/tmp", 80)], "warn", "/ 50 % used, 2.0 GB free; /var/tmp 80 % used, 2.0 GB free"),
        ([disk("/", 95)], "fail", "/ 95 % used, 2.0 GB free"),
        ([disk("/", 50, 99)], "fail", "/ 99 % of its files used, 2.0 GB free"),
    ],
)
def test_disk(disks: list[Json], state: str, value: str) -> None:
    row = doctor.disk({"disks": disks}, 80, 90)
    assert (row.state, row.value) == (state, value)
    if state != "ok":
        assert row.remedy.startswith(f"on {disks[-1]['path']}:")
        assert "infrastructure_boot_disk_size_gb" in row.remedy


GOOD_UNITS = {"mlflow.service": "active", "nginx.service": "active"}


@pytest.mark.parametrize(
    ("failed", "needed", "state", "value"),
    [
        ([], GOOD_UNITS, "ok", "none failed; mlflow.service, nginx.service active"),
        (["man-db.service"], GOOD_UNITS, "warn", "man-db.service failed"),
        (["mlflow@green.service"], GOOD_UNITS, "fail", "mlflow@green.service failed"),
        # A failed purge by the timer does not affect MLflow's clients.
        (["mlflow-gc.service"], GOOD_UNITS, "warn", "mlflow-gc.service failed"),
        ([], GOOD_UNITS | {"nginx.service": "inactive"}, "fail", "nginx.service is inactive"),
        (["nginx.service"], GOOD_UNITS | {"nginx.service": "failed"}, "fail", "nginx.service failed"),
    ],
)
def test_units(failed: list[str], needed: dict[str, str], state: str, value: str) -> None:
    row = doctor.units({"units": {"failed": failed, "needed": needed}})
    assert (row.state, row.value) == (state, value)
    if state != "ok":
        assert f"journalctl -u {value.split()[0]}" in row.remedy


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


def test_the_active_slot_serves() -> None:
    row = doctor.server(status())
    assert (row.state, row.value) == ("ok", "blue 3.17.2 serves; green empty stopped")


def test_no_slot_serves() -> None:
    row = doctor.server(status(active="green"))
    assert row.state == "fail"
    assert "systemctl start mlflow.service" in row.remedy
    assert doctor.server({"switch": {"active": None, "slots": {}}}).state == "fail"


def test_requests_are_held() -> None:
    row = doctor.server(status(held=True))
    assert row.state == "fail"
    assert "systemctl start mlflow-switch" in row.remedy


def test_a_switch_is_at_work() -> None:
    assert doctor.server(status(phase="drain")).state == "warn"


def test_the_last_switch_was_rolled_back() -> None:
    row = doctor.server(status(result={"ok": False, "kind": "upgrade", "cause": "smoke test: HTTP 500"}))
    assert (row.state, "the last upgrade failed: smoke test: HTTP 500" in row.value) == ("warn", True)
    assert "upgrade.yml" in row.remedy


@pytest.mark.parametrize("target", [None, "green"])
def test_requests_go_elsewhere(target: str | None) -> None:
    row = doctor.server(status(traffic=target))
    assert (row.state, f"requests go to {target or 'no slot'}" in row.value) == ("fail", True)


def test_the_desired_release_does_not_serve_yet() -> None:
    row = doctor.server(status(wanted={"unseen": ["release", "server.json"]}))
    assert (row.state, "changed since it started: release, server.json" in row.value) == ("warn", True)
    assert "configure.yml" in row.remedy


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
        (heads("old"), "fail", "tracking old where the release has abc; auth def", "playbooks/upgrade.yml"),
        (heads(None), "fail", "tracking empty where the release has abc; auth def", "playbooks/upgrade.yml"),
        (
            heads("new", known=False),
            "fail",
            "tracking new where the release has abc, which it does not know; auth def",
            "playbooks/restore.yml",
        ),
    ],
)
def test_schema(facts: Json, state: str, value: str, remedy: str) -> None:
    row = doctor.schema(facts)
    assert (row.state, row.value) == (state, value)
    assert remedy in row.remedy


def encryption(**changes: list[str]) -> Json:
    rows: Json = {kind: {"current": 1, "earlier": [], "unreadable": []} for kind in ("webhooks", "gateway")}
    for name, names in changes.items():
        kind, _, state = name.partition("_")
        rows[kind][state] = names
    return {"encryption": rows | {"changed": False}}


@pytest.mark.parametrize(
    ("facts", "state", "value", "remedy"),
    [
        (encryption(), "ok", "webhook: 1 of 1 under the key in use; gateway: 1 of 1 under the key in use", ""),
        (
            encryption(gateway_earlier=["openai (s-1)"]),
            "fail",
            "webhook: 1 of 1 under the key in use; gateway: 1 of 2 under the key in use;"
            " an earlier or public key encrypts gateway openai (s-1)",
            "playbooks/configure.yml",
        ),
        (
            encryption(webhooks_unreadable=["ci (w-1)"], gateway_earlier=["openai (s-1)"]),
            "fail",
            "webhook: 1 of 2 under the key in use; gateway: 1 of 2 under the key in use;"
            " no key decrypts webhook ci (w-1)",
            "rotate_unreadable_webhooks=disabled",
        ),
    ],
)
def test_stored_secrets(facts: Json, state: str, value: str, remedy: str) -> None:
    """Rows under a random key or under MLflow's public passphrase are reported with a remedy."""
    row = doctor.stored_secrets(facts)
    assert (row.state, row.value) == (state, value)
    assert remedy in row.remedy


def size(used: int = 10, held: float = 1e9) -> Json:
    connections = {"used": used, "allowed": 97}
    return {"size": {"databases": {"mlflow": held}, "bytes": held, "connections": connections}}


@pytest.mark.parametrize(("used", "state"), [(10, "ok"), (75, "warn"), (96, "fail")])
def test_connections(used: int, state: str) -> None:
    row = doctor.connections(size(used), 70, 90)
    assert (row.state, row.value) == (state, f"{used} of 97 ({100 * used / 97:.0f} %)")
    assert ("infrastructure_database_tier" in row.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("settings", "held", "state", "growth"),
    [
        ({"storageAutoResize": True}, 12e9, "ok", "grows by itself"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 12e9, "ok", "grows to 20 GB"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 18e9, "warn", "grows to 20 GB"),
        ({"storageAutoResize": True, "storageAutoResizeLimit": "20"}, 21e9, "fail", "grows to 20 GB"),
        ({}, 1e9, "ok", "does not grow"),
        ({}, 9e9, "warn", "does not grow"),
        ({}, 10e9, "fail", "does not grow"),
    ],
)
def test_database_disk(settings: Json, held: float, state: str, growth: str) -> None:
    row = doctor.database_disk(size(held=held), {"settings": {"dataDiskSizeGb": "10", **settings}}, 80, 90)
    assert (row.state, row.value) == (state, f"databases hold {held / 1e9:.2f} GB of 10 GB, {growth}")
    assert ("infrastructure_database_disk_size_gb" in row.remedy) == (state != "ok")


@pytest.mark.parametrize(("stamp", "ahead"), [(100.5, 0.0), (99.0, -1.0), (104.0, 3.0)])
def test_skew_excludes_the_duration_of_the_request(stamp: float, ahead: float) -> None:
    facts = {"clock": {"time": stamp, "synchronized": True}, "asked_at": 100.0, "answered_at": 101.0}
    assert doctor.skew(facts) == (ahead, True)


def test_skew_of_a_machine_that_was_not_seen() -> None:
    assert doctor.skew(UNSEEN) == (None, None)
    assert doctor.skew({"clock": {"time": 1.0, "synchronized": True}}) == (None, None)
