# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run the schema jobs of a cutover."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from .. import job_unit
from ..errors import ExitCode, FailedError
from ..system import System

UNIT = "mlflow-schema"
READING = ("heads", "size", "counts")


class Database:
    """The databases of the server."""

    def __init__(self, system: System) -> None:
        self._system = system

    def ask(
        self, release: str, settings: Mapping[str, Any], command: str, *arguments: str, left: float | None = None
    ) -> dict[str, Any]:
        """Run a schema job, for `left` seconds at most; return its JSON document.

        `settings` is the server.json of a slot.
        """
        # The process may outlive this one. end_orphan() needs its unit name.
        unit = "" if command in READING else UNIT
        words = ["schema", command, "--auth-database", settings["auth_database"]]
        if name := settings.get("application_database"):
            words += ["--application-database", name]
        words += arguments
        line = job_unit.command_line(words, paths=self._system.paths, release=release, unit=unit, seconds=left)
        answer = self._system.run(*line)
        try:
            document: dict[str, Any] = json.loads(answer.splitlines()[-1])
        except (ValueError, IndexError):
            raise FailedError(f"schema {command} did not print JSON: {answer[-300:]!r}") from None
        return document

    def end_orphan(self) -> None:
        """Stop the schema job of a killed cutover."""
        with contextlib.suppress(FailedError):
            self._system.run("systemctl", "stop", f"{UNIT}.service", quiet=True)

    def migration(self, release: str, settings: Mapping[str, Any], *, left: float | None = None) -> bool:
        """Return whether a release needs a migration; fail if the release is older than the databases."""
        needed = False
        for name, heads in self.ask(release, settings, "heads", left=left).items():
            # An empty database needs no migration: the server creates its tables.
            if heads["database"] is None or heads["database"] == heads["code"]:
                continue
            if not heads["known"]:
                raise FailedError(
                    f"the {name} database is at revision {heads['database']}, which {release} does not know:"
                    " the database is newer than the release",
                    ExitCode.REFUSED,
                )
            needed = True
        return needed
