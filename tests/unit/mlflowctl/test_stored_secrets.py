# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Re-encryption of rows of earlier keys, in the format of the shipped MLflow."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow.utils import crypto
from mlflowctl import stored_secrets
from mlflowctl.errors import FailedError
from mlflowctl.system import Paths

NEW, OLD, LOST = (Fernet.generate_key().decode() for _ in range(3))
NEW_PHRASE, OLD_PHRASE, LOST_PHRASE = "n" * 40, "o" * 40, "l" * 40


class Cursor:
    """Translates statements for PostgreSQL to SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = connection.cursor()

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        if statement.startswith("SET "):
            return
        known = "EXISTS (SELECT FROM sqlite_master WHERE name = %s)".replace("SELECT FROM", "SELECT 1 FROM")
        statement = statement.replace("to_regclass(%s) IS NOT NULL", known)
        self._cursor.execute(statement.replace("%s", "?").replace(" FOR UPDATE", ""), values)

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()


class Connection:
    """A connection with the transactions of psycopg2."""

    autocommit = True

    def __init__(self) -> None:
        self.real = sqlite3.connect(":memory:")

    def __enter__(self) -> Connection:
        assert not self.autocommit
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind:
            self.real.rollback()
        else:
            self.real.commit()

    def cursor(self) -> Cursor:
        return Cursor(self.real)

    def one(self, statement: str, *values: Any) -> Any:
        return self.real.execute(statement, values).fetchone()


def encrypted(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the value that MLflow stores for the secret of a webhook."""
    from mlflow.store.model_registry.dbmodels.models import EncryptedString

    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", key)
    stored = EncryptedString().process_bind_param(value, None)
    assert isinstance(stored, str)
    return stored


def decrypted(key: str, stored: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the secret that MLflow reads from a stored value."""
    from mlflow.store.model_registry.dbmodels.models import EncryptedString

    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", key)
    value = EncryptedString().process_result_value(stored, None)
    assert isinstance(value, str)
    return value


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Create rows of the key in use, of an earlier key and of a lost key."""
    connection = Connection()
    connection.real.execute("CREATE TABLE webhooks (webhook_id, name, secret, status, deleted_timestamp)")
    for name, key, deleted in (("new", NEW, None), ("old", OLD, None), ("lost", LOST, None), ("gone", LOST, 1)):
        stored = encrypted(key, f"secret of {name}", monkeypatch)
        row = (f"w-{name}", name, stored, "ACTIVE", deleted)
        connection.real.execute("INSERT INTO webhooks VALUES (?, ?, ?, ?, ?)", row)
    connection.real.execute("INSERT INTO webhooks VALUES ('w-none', 'none', NULL, 'ACTIVE', NULL)")
    connection.real.execute("CREATE TABLE secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version)")
    rows = (
        *(("new", NEW_PHRASE, 1), ("old", OLD_PHRASE, 1), ("rotated", OLD_PHRASE, 2)),
        *(("public", crypto.DEFAULT_KEK_PASSPHRASE, 1), ("lost", LOST_PHRASE, 1)),
    )
    for name, passphrase, version in rows:
        manager = crypto.KEKManager(passphrase, version)
        made = crypto._encrypt_secret({"api_key": f"key of {name}"}, manager, f"s-{name}", name)
        row = (f"s-{name}", name, made.encrypted_value, made.wrapped_dek, made.kek_version)  # type: ignore[assignment]
        connection.real.execute("INSERT INTO secrets VALUES (?, ?, ?, ?, ?)", row)
    connection.real.commit()
    return connection


@pytest.fixture
def keys() -> Any:
    return stored_secrets.Keys([NEW, OLD], [NEW_PHRASE, OLD_PHRASE])


FOUND = {
    "webhooks": {"current": 1, "earlier": ["old (w-old)"], "unreadable": ["lost (w-lost)"]},
    "gateway": {
        "current": 1,
        "earlier": ["old (s-old)", "public (s-public)", "rotated (s-rotated)"],
        "unreadable": ["lost (s-lost)"],
    },
}


def everything(connection: Connection) -> list[Any]:
    return [connection.real.execute(f"SELECT * FROM {table}").fetchall() for table in ("webhooks", "secrets")]


def test_a_check_changes_nothing(database: Connection, keys: Any) -> None:
    before = everything(database)
    assert stored_secrets.work(database, keys, change=False, disable=False) == FOUND
    assert everything(database) == before


def test_rows_under_earlier_keys_are_readable_with_the_key_in_use(
    database: Connection, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of a rotation, and of a server with MLflow's public default passphrase."""
    kept = database.one("SELECT secret, status FROM webhooks WHERE name = 'lost'")
    assert stored_secrets.work(database, keys, change=True, disable=False) == FOUND
    for name in ("new", "old"):
        (stored,) = database.one("SELECT secret FROM webhooks WHERE name = ?", name)
        assert decrypted(NEW, stored, monkeypatch) == f"secret of {name}"
    manager = crypto.KEKManager(NEW_PHRASE, 1)
    for name in ("new", "old", "public", "rotated"):
        value, wrapped, version = database.one(
            "SELECT encrypted_value, wrapped_dek, kek_version FROM secrets WHERE secret_name = ?", name
        )
        assert version == 1
        assert crypto._decrypt_secret(value, wrapped, manager, f"s-{name}", name) == {"api_key": f"key of {name}"}
    # Unreadable rows stay unchanged, because the user may find the lost key.
    assert database.one("SELECT secret, status FROM webhooks WHERE name = 'lost'") == kept
    again = stored_secrets.work(database, keys, change=True, disable=False)
    assert [again[kind]["earlier"] for kind in again] == [[], []]


def test_an_unreadable_webhook_is_disabled_on_request(database: Connection, keys: Any) -> None:
    """MLflow answers 500 to a request that lists or deletes an unreadable webhook."""
    stored_secrets.work(database, keys, change=True, disable=True)
    assert database.one("SELECT secret, status FROM webhooks WHERE name = 'lost'") == (None, "DISABLED")
    assert database.one("SELECT status FROM webhooks WHERE name = 'old'") == ("ACTIVE",)
    again = stored_secrets.work(database, keys, change=True, disable=True)
    assert again["webhooks"]["unreadable"] == []
    # MLflow can list unreadable gateway secrets, and a new API key replaces the row.
    assert again["gateway"]["unreadable"] == ["lost (s-lost)"]


def test_a_database_of_mlflow_2_has_no_tables_of_secrets(keys: Any) -> None:
    empty = {"current": 0, "earlier": [], "unreadable": []}
    assert stored_secrets.work(Connection(), keys, change=True, disable=True) == {"webhooks": empty, "gateway": empty}
    assert (keys._webhooks, keys._gateway) == (None, None), "MLflow is not imported without rows"


def test_nothing_is_changed_when_one_row_fails(
    database: Connection, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(database)
    monkeypatch.setattr(stored_secrets.GatewayKeys, "renew", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stored_secrets.work(database, keys, change=True, disable=False)
    assert everything(database) == before


def test_the_output_describes_the_active_database() -> None:
    """The kept databases are re-encrypted, too, because a rollback activates them."""
    empty = {kind: {"current": 0, "earlier": [], "unreadable": []} for kind in ("webhooks", "gateway")}
    found = {"mlflow": empty, "mlflow_before": FOUND}
    assert stored_secrets.summary(found, "mlflow", change=True, disable=False) == {**empty, "changed": True}
    assert stored_secrets.summary(found, "mlflow", change=False, disable=False)["changed"] is False
    assert stored_secrets.summary({"mlflow": empty}, "mlflow", change=True, disable=True)["changed"] is False


def credentials(folder: Path, webhook: str, passphrase: str) -> Path:
    (folder / "mlflow.webhook-encryption-key").write_text(webhook)
    (folder / "mlflow.crypto-kek-passphrase").write_text(passphrase)
    return folder


def test_keys_are_read_as_the_launcher_reads_them(tmp_path: Path) -> None:
    read = stored_secrets.read_keys(credentials(tmp_path, f"{NEW}\n\n {OLD}\n", f"{NEW_PHRASE}\n"))
    assert (list(read.webhook_ring), list(read.passphrases)) == ([NEW, OLD], [NEW_PHRASE])
    with pytest.raises(FailedError, match="not a Fernet key"):
        stored_secrets.read_keys(credentials(tmp_path, f"{NEW}\nshort\n", NEW_PHRASE))
    with pytest.raises(FailedError, match=r"mlflow\.crypto-kek-passphrase is empty"):
        stored_secrets.read_keys(credentials(tmp_path, NEW, "\n"))


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run" / "mlflow" / "mlflow.sock"
    path.parent.mkdir(parents=True)
    path.symlink_to("/run/mlflow-blue/mlflow.sock")
    monkeypatch.setattr(stored_secrets, "Paths", lambda: Paths(tmp_path))
    return path


def test_wait_for_cutover_waits_for_another_slot(link: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maintenance mode alone is not a cutover."""
    steps = [link.unlink, lambda: link.symlink_to("/run/mlflow-green/mlflow.sock")]
    monkeypatch.setattr(stored_secrets.time, "sleep", lambda _: steps.pop(0)())
    stored_secrets.wait_for_cutover("/run/mlflow-blue/mlflow.sock", 60)
    assert steps == []
    with pytest.raises(FailedError, match="no cutover in 0 s"):
        stored_secrets.wait_for_cutover("/run/mlflow-green/mlflow.sock", 0)
