# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Request, progress and result of a cutover: JSON files in /var/lib/mlflow-switch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..system import System, read


@dataclass
class Entry:
    """The cutover in progress. Saved before each step, so that recovery knows each step that may have started."""

    id: str
    kind: str  # reload, upgrade, rollback
    options: dict[str, Any]
    old: str
    new: str
    old_ran: bool
    started: float
    step: str = "begin"
    step_since: float = 0.0
    migration: bool = False
    held_since: float | None = None
    held_seconds: float = 0.0
    # Each is set before its action, so true means: the action may have happened.
    databases: bool = False
    moved: bool = False
    committed: bool = False
    kept_failed: bool = False
    failure: dict[str, Any] | None = None
    timings: dict[str, float] = field(default_factory=dict)


class Journal:
    """The state files of the cutover."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._directory = system.paths.state

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def load(self, name: str) -> dict[str, Any] | None:
        """Read a file: request, approval, journal, result, previous or rolled_back. None if it does not exist."""
        text = read(self._path(name))
        document: dict[str, Any] | None = json.loads(text) if text else None
        return document

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Write a file."""
        self._system.write(self._path(name), json.dumps(document, indent=1, sort_keys=True) + "\n", 0o600)

    def drop(self, name: str) -> None:
        """Remove a file."""
        if self._path(name).exists():
            self._system.remove(self._path(name))

    def entry(self) -> Entry | None:
        """Return the cutover in progress."""
        document = self.load("journal")
        return Entry(**document) if document else None

    def step(self, entry: Entry, name: str, **changes: Any) -> None:
        """Record the step that is about to start."""
        now = self._system.now()
        if entry.step_since:
            spent = entry.timings.get(entry.step, 0.0) + now - entry.step_since
            entry.timings[entry.step] = round(spent, 3)
        entry.step, entry.step_since = name, now
        for field_name, value in changes.items():
            setattr(entry, field_name, value)
        self.save("journal", dataclasses.asdict(entry))
        print(f"{entry.kind} {entry.id}: {name}", flush=True)
