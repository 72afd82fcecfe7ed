# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An engine in memory: it keeps the promises of :mod:`localcloud.engine.base` and runs nothing.

For contract tests, and for a local cloud on a machine without Docker. Everything is open to inspection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from localcloud.engine.base import DatabaseSpec, Engine, MachineSpec, NetworkState, NotFound

if TYPE_CHECKING:
    from localcloud.app import App
    from localcloud.cloud import Cloud, Settings
    from localcloud.server import Listener


class FakeMachines:
    """Machines that are only rows: ``specs`` by id, the set of ids ``on``, and the ``log`` of what was asked."""

    def __init__(self) -> None:
        self.specs: dict[str, MachineSpec] = {}
        self.on: set[str] = set()
        self.log: list[tuple[str, str]] = []

    def create(self, spec: MachineSpec) -> None:
        self.log.append(("create", spec.id))
        self.specs[spec.id] = spec
        self.on.add(spec.id)

    def start(self, id: str) -> None:
        self._known("start", id)
        self.on.add(id)

    def stop(self, id: str) -> None:
        self._known("stop", id)
        self.on.discard(id)

    def reset(self, id: str) -> None:
        self._known("reset", id)
        self.on.add(id)

    def delete(self, id: str) -> None:
        self.log.append(("delete", id))
        self.specs.pop(id, None)
        self.on.discard(id)

    def running(self, id: str) -> bool:
        return id in self.on

    def ids(self) -> list[str]:
        return sorted(self.specs)

    def _known(self, verb: str, id: str) -> None:
        self.log.append((verb, id))
        if id not in self.specs:
            raise NotFound(f"there is no machine {id}")


class FakeDatabases:
    """Servers that remember the statements they were given; ``answers`` scripts what ``execute`` returns."""

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
    """Remembers every state it was asked for; ``state`` is the last."""

    def __init__(self) -> None:
        self.history: list[NetworkState] = []

    @property
    def state(self) -> NetworkState:
        """The state wanted last."""
        return self.history[-1] if self.history else NetworkState()

    def apply(self, wanted: NetworkState) -> None:
        self.history.append(wanted)


def fake_engine() -> Engine:
    """A fresh engine in memory."""
    return Engine(FakeMachines(), FakeDatabases(), FakeNetwork())


def build(settings: Settings) -> Engine:
    """The engine that `serve --engine fake` loads."""
    return fake_engine()


def listeners(cloud: Cloud, app: App) -> list[Listener]:
    """None: no machine is there to ask."""
    return []
