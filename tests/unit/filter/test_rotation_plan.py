# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a planned rotation."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.filter.rotation_plan import FilterModule

from tests.unit.roles.evaluated import described

plan = FilterModule().filters()["rotation_plan"]
DATABASE = {"user": "mlflow", "next": "mlflow_alternate", "owner": "mlflow_owner"}
ROWS = {"current": 2, "earlier": ["a"], "unreadable": ["ci (w-1)"]}


def lines(*names: str, **options: Any) -> list[str]:
    """Return the report for these secrets, without its last line."""
    rotations = [each for each in described()["rotations"] if each["name"] in names]
    *found, last = plan(rotations, **{"unreadable": "kept", "old_versions": "disabled"} | options)
    assert last == "former versions of the secrets: disabled"
    return found


def test_the_next_user_gets_the_new_database_password() -> None:
    (line,) = lines("database_password", database=DATABASE | {"missing": [], "objects": {"mlflow": 0}})
    assert line == (
        "database password: new for mlflow_alternate, which the server uses from the cutover on; mlflow then gets a"
        " random password that is not stored"
    )


def test_the_first_rotation_creates_the_owner_and_changes_the_owner_of_the_objects() -> None:
    prepared = {"missing": ["role mlflow_owner"], "objects": {"mlflow": 70, "mlflow_auth": 7}}
    assert lines("database_password", database=DATABASE | prepared)[1] == (
        "database, first rotation only: create role mlflow_owner; change the owner of 77 objects from mlflow to"
        " mlflow_owner"
    )


def test_the_rows_of_the_keys_are_counted() -> None:
    stored = {"webhooks": ROWS, "gateway": {"current": 1, "earlier": [], "unreadable": ["not of a webhook"]}}
    assert lines("webhook_encryption_key", "crypto_kek_passphrase", stored=stored, unreadable="disabled") == [
        "encryption key of webhook secrets: new; re-encrypted rows: 3",
        "webhook secrets that no key decrypts: ci (w-1): disabled",
        "passphrase of gateway secrets: new; re-encrypted rows: 1",
    ]


def test_a_secret_of_the_authentication_has_a_line() -> None:
    assert lines("admin_password", "flask_secret_key", "certificate") == [
        "administrator's password: new",
        "key that signs forms: new; browser forms that are open must be loaded again",
        "TLS certificate: new key, same certificate authority (CA)",
    ]
