# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An engine in memory with the interface of :mod:`localcloud.engine.base`. It runs nothing.

For contract tests, and for a local cloud on a host without Docker. Tests can inspect all its state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from localcloud.core.settings import Settings
from localcloud.engine.base import (
    Applications,
    DatabaseSpec,
    Engine,
    Listener,
    MachineSpec,
    NetworkState,
    NotFound,
    printed,
)


class FakeMachines:
    """VMs in memory: ``specs`` by id, the ids of running VMs in ``on``, and the calls in ``log``.

    Each VM has SSH host keys on its disk (``host_keys``) and prints them on its console. ``on_boot`` is called with a
    VM at each boot. The guest agent fails to upload keys of the types in ``lost_uploads``.
    """

    def __init__(self) -> None:
        self.specs: dict[str, MachineSpec] = {}
        self.host_keys: dict[str, list[str]] = {}
        self.lost_uploads: set[str] = set()
        self.on: set[str] = set()
        self.log: list[tuple[str, str]] = []
        self.on_boot: Callable[[MachineSpec], None] | None = None

    def create(self, spec: MachineSpec) -> None:
        self.log.append(("create", spec.id))
        self.specs[spec.id] = spec
        self.host_keys[spec.id] = _public_keys()
        self._boot(spec.id)

    def start(self, id: str) -> None:
        self._known("start", id)
        self._boot(id)

    def stop(self, id: str) -> None:
        self._known("stop", id)
        self.on.discard(id)

    def reset(self, id: str) -> None:
        self._known("reset", id)
        self._boot(id)

    def delete(self, id: str) -> None:
        self.log.append(("delete", id))
        self.specs.pop(id, None)
        self.host_keys.pop(id, None)
        self.on.discard(id)

    def running(self, id: str) -> bool:
        return id in self.on

    def ids(self) -> list[str]:
        return sorted(self.specs)

    def console(self, id: str) -> str:
        return printed(self.host_keys[id]) if id in self.on else ""

    def _known(self, verb: str, id: str) -> None:
        self.log.append((verb, id))
        if id not in self.specs:
            raise NotFound(f"there is no machine {id}")

    def _boot(self, id: str) -> None:
        self.on.add(id)
        if self.on_boot is not None:
            self.on_boot(self.specs[id])


class FakeDatabases:
    """Servers that record their statements; ``answers`` scripts the results of ``execute``."""

    def __init__(self) -> None:
        self.specs: dict[str, DatabaseSpec] = {}
        self.on: set[str] = set()
        self.log: list[tuple[str, str]] = []
        self.statements: dict[str, list[tuple[str, str]]] = {}
        self.answers: dict[str, list[list[str]]] = {}
        self.backups: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def create(self, spec: DatabaseSpec) -> None:
        self.log.append(("create", spec.id))
        self.specs[spec.id] = spec
        self.statements[spec.id] = []
        self.on.add(spec.id)

    def start(self, id: str) -> None:
        self._known("start", id)
        self.on.add(id)

    def stop(self, id: str) -> None:
        self._known("stop", id)
        self.on.discard(id)

    def restart(self, id: str, flags: dict[str, str] | None = None) -> None:
        self._known("restart", id)
        if flags is not None:
            self.specs[id] = replace(self.specs[id], flags=dict(flags))
        self.on.add(id)

    def set_require_ssl(self, id: str, require_ssl: bool) -> None:
        self._known("set_require_ssl", id)
        self.specs[id] = replace(self.specs[id], require_ssl=require_ssl)

    def set_certificate(self, id: str, certificate: str, key: str) -> None:
        self._known("set_certificate", id)
        self.specs[id] = replace(self.specs[id], server_certificate=certificate, server_key=key)

    def delete(self, id: str) -> None:
        self.log.append(("delete", id))
        self.specs.pop(id, None)
        self.statements.pop(id, None)
        self.on.discard(id)

    def running(self, id: str) -> bool:
        return id in self.on

    def ids(self) -> list[str]:
        return sorted(self.specs)

    def execute(self, id: str, sql: str, *, database: str = "postgres") -> list[list[str]]:
        self._known("execute", id)
        self.statements[id].append((database, sql))
        return self.answers.get(sql, [])

    def backup(self, id: str, backup_id: str) -> None:
        self._known("backup", id)
        self.backups[id, backup_id] = list(self.statements[id])

    def restore(self, id: str, backup_id: str, from_id: str) -> None:
        self._known("restore", id)
        if (from_id, backup_id) not in self.backups:
            raise NotFound(f"there is no backup {backup_id} of {from_id}")
        self.statements[id] = list(self.backups[from_id, backup_id])

    def delete_backup(self, id: str, backup_id: str) -> None:
        self.log.append(("delete_backup", id))
        self.backups.pop((id, backup_id), None)

    def _known(self, verb: str, id: str) -> None:
        self.log.append((verb, id))
        if id not in self.specs:
            raise NotFound(f"there is no database {id}")


class FakeNetwork:
    """A network that records each applied state; ``state`` is the last."""

    def __init__(self) -> None:
        self.history: list[NetworkState] = []

    @property
    def state(self) -> NetworkState:
        """Return the last applied state."""
        return self.history[-1] if self.history else NetworkState()

    def apply(self, wanted: NetworkState) -> None:
        self.history.append(wanted)


def _public_keys() -> list[str]:
    """Return public keys of the types that Google's guest agent creates."""
    keys = (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(), _rsa_key())
    return [key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() for key in keys]


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """Return one key for all VMs: creating a key is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def fake_engine() -> Engine:
    """Return an empty engine in memory."""
    return Engine(FakeMachines(), FakeDatabases(), FakeNetwork())


def build(settings: Settings) -> Engine:
    """Return the engine of `serve --engine fake`."""
    return fake_engine()


def listeners(settings: Settings, apps: Applications) -> list[Listener]:
    """Return no listener: there are no VMs."""
    return []
