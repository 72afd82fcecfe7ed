# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run schema.py in the Python of a release, with the user and the credentials of the server."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from .machine import FailedError, Machine

CREDENTIALS = ("mlflow.database-uri", "mlflow.database-ca")
UNIT = "mlflow-schema"
READING = ("heads", "size", "counts")


class Database:
    """The tracking database and the authentication database."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def ask(
        self, release: str, auth_database: str, command: str, *arguments: str, left: float | None = None
    ) -> dict[str, Any]:
        """Run a subcommand of schema.py, for `left` seconds at most; return its JSON document."""
        line = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet"]
        if command not in READING:
            # The process may outlive this one. end_orphan() needs its unit name.
            line += [f"--unit={UNIT}"]
        properties = [f"LoadCredential={name}" for name in CREDENTIALS]
        properties += ["User=mlflow", "Group=mlflow", "PrivateTmp=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"]
        if left is not None:
            # systemd enforces the limit even if this process dies. Rounded up: not before the deadline of the caller.
            properties += [f"RuntimeMaxSec={math.ceil(left)}"]
        line += [part for each in properties for part in ("-p", each)]
        line += [f"{release}/bin/python", "-I", "/opt/mlflow/libexec/schema.py"]
        answer = self._machine.run(*line, command, "--auth-database", auth_database, *arguments)
        try:
            document: dict[str, Any] = json.loads(answer.splitlines()[-1])
        except (ValueError, IndexError):
            raise FailedError(f"schema.py {command} did not print JSON: {answer[-300:]!r}") from None
        return document

    def end_orphan(self) -> None:
        """Stop the schema.py process of a killed cutover."""
        with contextlib.suppress(FailedError):
            self._machine.run("systemctl", "stop", f"{UNIT}.service", quiet=True)

    def migration(self, release: str, auth_database: str, *, left: float | None = None) -> bool:
        """Return whether a release needs a migration; fail if the release is older than the databases."""
        needed = False
        for name, heads in self.ask(release, auth_database, "heads", left=left).items():
            # An empty database needs no migration: the server creates its tables.
            if heads["database"] is None or heads["database"] == heads["code"]:
                continue
            if not heads["known"]:
                raise FailedError(
                    f"the {name} database is at revision {heads['database']}, which {release} does not know:"
                    " the database is newer than the release",
                    3,
                )
            needed = True
        return needed
