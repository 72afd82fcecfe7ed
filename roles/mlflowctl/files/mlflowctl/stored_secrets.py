# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Re-encrypt the secrets that MLflow stores in its database: webhook secrets and API keys of the AI gateway.

The results contain names of webhooks and gateway secrets, never a value.

Each of the two credentials holds one key on each line: the key in use first, then earlier keys. Gateway secrets may
also be encrypted with MLflow's public default passphrase, which a server without a passphrase uses.
The databases that an upgrade or a rollback kept are included, because a rollback activates them again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import credentials as store
from .credentials import KEK_PASSPHRASES, WEBHOOK_KEYS
from .database_uri import Databases
from .errors import FailedError
from .schema.names import KEPT_SUFFIXES
from .system import Paths

# The launcher always sets this version, which is part of the key in use.
KEK_VERSION = 1
KINDS = ("webhooks", "gateway")
WEBHOOKS = (
    "SELECT webhook_id, name, secret, deleted_timestamp IS NULL FROM webhooks WHERE secret IS NOT NULL"
    " ORDER BY webhook_id"
)
GATEWAY = "SELECT secret_id, secret_name, wrapped_dek, kek_version FROM secrets ORDER BY secret_id"
FOR_UPDATE = " FOR UPDATE"
Json = dict[str, Any]


@dataclass
class Found:
    """The rows of one kind, grouped by the key that decrypts them."""

    current: int = 0
    # Texts of the form "NAME (ID)".
    earlier: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def json(self) -> Json:
        """Return a dictionary for the JSON output."""
        return {"current": self.current, "earlier": sorted(self.earlier), "unreadable": sorted(self.unreadable)}


class WebhookKeys:
    """Fernet keys, as mlflow.store.model_registry.dbmodels.models.EncryptedString uses them."""

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet

        self._ciphers = [Fernet(key) for key in keys]

    def renew(self, stored: str) -> tuple[bool, str | None]:
        """Return whether the key in use decrypts a value, and the value under that key; None if no key decrypts it."""
        from cryptography.fernet import InvalidToken

        for number, cipher in enumerate(self._ciphers):
            try:
                value = cipher.decrypt(stored.encode())
            except InvalidToken:
                continue
            return (True, stored) if number == 0 else (False, self._ciphers[0].encrypt(value).decode())
        return False, None


class GatewayKeys:
    """Passphrases, as mlflow.utils.crypto uses them to wrap the key of each gateway secret."""

    def __init__(self, passphrases: Sequence[str]) -> None:
        from mlflow.utils import crypto

        self._crypto, self._passphrases = crypto, [*passphrases, crypto.DEFAULT_KEK_PASSPHRASE]
        self._derived: dict[tuple[str, int], bytes] = {}

    def _kek(self, passphrase: str, version: int) -> bytes:
        # The derivation of a key takes 0.2 s.
        if (passphrase, version) not in self._derived:
            self._derived[passphrase, version] = self._crypto.KEKManager(passphrase, version).get_kek()
        return self._derived[passphrase, version]

    def renew(self, wrapped: bytes, version: int) -> tuple[bool, bytes | None]:
        """Return whether the key in use unwraps a row's key, and the row's key under it; None if no key unwraps it.

        MLflow ignores the version of the row and derives every key with the version of its environment. The row has
        another `version` after `mlflow crypto rotate-kek`.
        """
        from mlflow.exceptions import MlflowException

        for version_tried in dict.fromkeys((KEK_VERSION, version)):
            for number, passphrase in enumerate(self._passphrases):
                try:
                    key = self._crypto.unwrap_dek(wrapped, self._kek(passphrase, version_tried))
                except (MlflowException, ValueError):
                    continue
                if number == 0 and version_tried == KEK_VERSION:
                    return True, wrapped
                return False, self._crypto.wrap_dek(key, self._kek(self._passphrases[0], KEK_VERSION))
        return False, None


@dataclass
class Keys:
    """The keys of both kinds. They are created for the first row, because the import of MLflow takes seconds."""

    webhook_ring: Sequence[str]
    passphrases: Sequence[str]
    _webhooks: WebhookKeys | None = None
    _gateway: GatewayKeys | None = None

    def webhooks(self) -> WebhookKeys:
        """Return the keys of webhook secrets."""
        self._webhooks = self._webhooks or WebhookKeys(self.webhook_ring)
        return self._webhooks

    def gateway(self) -> GatewayKeys:
        """Return the keys of gateway secrets."""
        self._gateway = self._gateway or GatewayKeys(self.passphrases)
        return self._gateway


def has_table(cursor: Any, name: str) -> bool:
    """Return whether a table exists. MLflow 2 has neither of the two tables."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    return bool(cursor.fetchone()[0])


def webhooks(cursor: Any, keys: Keys, *, change: bool, disable: bool) -> Found:
    """Check the secrets of webhooks, and re-encrypt the secrets of earlier keys.

    `disable` removes an unreadable secret and disables its webhook. An unreadable row prevents MLflow from listing all
    webhooks, and from changing or deleting this webhook.
    """
    found = Found()
    if not has_table(cursor, "webhooks"):
        return found
    cursor.execute(WEBHOOKS + FOR_UPDATE if change else WEBHOOKS)
    for identifier, name, stored, exists in cursor.fetchall():
        current, renewed = keys.webhooks().renew(stored)
        if current:
            found.current += 1
        elif renewed is not None:
            found.earlier.append(f"{name} ({identifier})")
            if change:
                cursor.execute("UPDATE webhooks SET secret = %s WHERE webhook_id = %s", (renewed, identifier))
        # MLflow never reads a deleted webhook.
        elif exists:
            found.unreadable.append(f"{name} ({identifier})")
            if change and disable:
                cursor.execute(
                    "UPDATE webhooks SET secret = NULL, status = 'DISABLED' WHERE webhook_id = %s", (identifier,)
                )
    return found


def gateway(cursor: Any, keys: Keys, *, change: bool) -> Found:
    """Check the secrets of the gateway, and wrap the keys of earlier passphrases with the one in use."""
    found = Found()
    if not has_table(cursor, "secrets"):
        return found
    cursor.execute(GATEWAY + FOR_UPDATE if change else GATEWAY)
    for identifier, name, wrapped, version in cursor.fetchall():
        current, renewed = keys.gateway().renew(bytes(wrapped), version)
        if current:
            found.current += 1
        elif renewed is not None:
            found.earlier.append(f"{name} ({identifier})")
            if change:
                cursor.execute(
                    "UPDATE secrets SET wrapped_dek = %s, kek_version = %s WHERE secret_id = %s",
                    (renewed, KEK_VERSION, identifier),
                )
        else:
            found.unreadable.append(f"{name} ({identifier})")
    return found


def work(connection: Any, keys: Keys, *, change: bool, disable: bool) -> dict[str, Json]:
    """Check a database and change its rows, in one transaction."""
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '30s'")
        return {
            "webhooks": webhooks(cursor, keys, change=change, disable=disable).json(),
            "gateway": gateway(cursor, keys, change=change).json(),
        }


def read_keys(credentials: Path) -> Keys:
    """Return the keys in the credentials."""
    rings = [store.key_ring(credentials, name) for name in (WEBHOOK_KEYS, KEK_PASSPHRASES)]
    for key in rings[0]:
        store.check_webhook_key(key)
    return Keys(*rings)


def wait_for_cutover(left: str, timeout: float, *, pause: float = 0.05) -> None:
    """Wait until another slot than `left` receives the requests. Raise FailedError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and target() in (left, ""):
        time.sleep(pause)
    if target() in (left, ""):
        raise FailedError(f"no cutover in {timeout:.0f} s")


def target() -> str:
    """Return the socket that receives the requests, empty in maintenance mode."""
    link = Paths().link
    return str(link.readlink()) if link.is_symlink() else ""


def check_or_reencrypt(
    databases: Databases, keys: Keys, *, change: bool, disable: bool = False, cutover_from: str = "", timeout: float = 0
) -> Json:
    """Check the rows of all databases, and with `change` re-encrypt those of earlier keys.

    `disable` also disables webhooks whose secret no key decrypts. `cutover_from` is a socket: wait until another socket
    receives the requests, for `timeout` seconds.
    """
    if cutover_from:
        # Import MLflow before the cutover, because the import takes seconds.
        keys.webhooks(), keys.gateway()
        wait_for_cutover(cutover_from, timeout)
    with closing(databases.connect(databases.tracking)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname = ANY(%s)",
            ([databases.tracking + kept for kept in KEPT_SUFFIXES],),
        )
        names = sorted(name for (name,) in cursor.fetchall())
    found = {}
    for name in names:
        with closing(databases.connect(name)) as connection:
            found[name] = work(connection, keys, change=change, disable=disable)
    return summary(found, databases.tracking, change=change, disable=disable)


def summary(found: dict[str, dict[str, Json]], serving: str, *, change: bool, disable: bool) -> Json:
    """Return the result for the active database, and whether a row of any database was changed."""
    rows = [row for kinds in found.values() for kind in KINDS for row in kinds[kind]["earlier"]]
    if disable:
        rows += [row for kinds in found.values() for row in kinds["webhooks"]["unreadable"]]
    return {**found[serving], "changed": change and bool(rows)}
