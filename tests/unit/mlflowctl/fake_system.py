# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A VM with two slots and a database, without systemd and PostgreSQL. It can be killed at each of its actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflowctl.cutover.journal import Journal
from mlflowctl.cutover.switching import Switch
from mlflowctl.errors import FailedError
from mlflowctl.system import PROGRAM, System

SETTINGS = {"admin_username": "admin", "auth_database": "mlflow_auth", "drain_timeout": 5, "start_timeout": 30}


class KilledError(BaseException):
    """The process was killed with SIGKILL."""


class FakeSystem(System):
    """A VM with real files in a directory. Processes, databases and time are simulated."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.clock = 1_000_000.0
        self.deeds = 0
        self.kill_at: int | None = None
        self.log: list[str] = []
        self.running: dict[str, int] = {}
        self.lives = 0
        # Failing commands: (word of a command, release or slot).
        self.broken: set[tuple[str, str]] = set()
        # Seconds that a schema job would take.
        self.slow: dict[str, float] = {}
        # Schema of each release, and schema and rows of each database.
        self.code: dict[str, int] = {}
        self.databases: dict[str, dict[str, Any]] = {"mlflow": {"schema": 1, "rows": ["before"]}}
        self.on_sleep: Callable[[], None] = lambda: None
        self.served_by: list[str | None] = []
        self._inner = False

    # --- State

    def release(self, version: str, schema: int) -> str:
        """Install a release."""
        path = f"/opt/mlflow/releases/{version}-0123456789ab"
        self.code[path] = schema
        directory = self.paths.root / path.lstrip("/")
        directory.mkdir(parents=True)
        (directory / ".complete").write_text(f"{version}\n", encoding="utf-8")
        return path

    def want(self, release: str, **settings: Any) -> None:
        """Write the desired state, as the role does."""
        super().link(self.paths.wanted, release)
        self.paths.configuration.mkdir(parents=True, exist_ok=True)
        server = json.dumps({**SETTINGS, **settings})
        (self.paths.configuration / "server.json").write_text(server, encoding="utf-8")
        (self.paths.configuration / "unit.conf").write_text("[Service]\n", encoding="utf-8")
        self.install("first")

    def install(self, version: str) -> None:
        """Install a version of the program, as the role does."""
        (self.paths.programs / version).mkdir(parents=True, exist_ok=True)
        super().link(self.paths.program, f"/opt/mlflow/programs/{version}")

    def switch(self) -> Switch:
        """Return the state of a new process."""
        return Switch(self)

    def power_cut(self) -> None:
        """Stop all processes and remove the files in memory."""
        self.running.clear()
        if self.paths.link.is_symlink():
            self.paths.link.unlink()

    # --- Actions

    def _deed(self, text: str) -> None:
        if self._inner:
            return
        self.deeds += 1
        if self.kill_at is not None and self.deeds >= self.kill_at:
            raise KilledError
        self.log.append(text)

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        self._deed(f"write {path.name}")
        super().write(path, text, mode)

    def link(self, path: Path, target: str) -> None:
        self._deed(f"link {path.name} {target}")
        super().link(path, target)

    def remove(self, path: Path) -> None:
        self._deed(f"remove {path.name}")
        super().remove(path)

    def sync(self, descriptor: int) -> None:
        """Do not wait for the disk: the tests of kills write thousands of files."""

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.on_sleep()

    def run(self, *command: str, timeout: float | None = None, quiet: bool = False) -> str:
        words = [word for word in command if not word.startswith(("--property", "/usr/bin/python3"))]
        reading = command[:2] in (("systemctl", "show"),) or command[0] == "journalctl"
        if not reading:
            self._deed(" ".join(words))
        # A kill after the action: it has happened, but the process cannot record the result.
        answer = self._perform(list(command))
        if not reading:
            self._deed("after " + " ".join(words))
        return answer

    def _perform(self, command: list[str]) -> str:
        if command[0] == "systemctl":
            return self._systemctl(command[1], command[-1], "--no-block" in command)
        if command[0] == "systemd-run":
            program = command.index(str(PROGRAM))
            assert command[program + 1] == "schema"
            return self._schema(command[program - 2].removesuffix("/bin/python"), command[program + 2], command)
        if command[0] == "journalctl":
            assert command[2] in ("mlflow@blue.service", "mlflow@green.service")
            return "it went wrong\n"
        slot = command[command.index("--slot") + 1]
        kind = "smoke" if "--smoke" in command else "artifacts"
        if slot not in self.running or (kind, self._release(slot)) in self.broken:
            raise FailedError(f"{kind}: not ready")
        return ""

    def _release(self, slot: str) -> str:
        return str((self.paths.slots / slot / "release").readlink())

    def _systemctl(self, verb: str, name: str, unseen: bool) -> str:
        slot = name.removeprefix("mlflow@").removesuffix(".service")
        if verb == "show":
            state = "active" if slot in self.running else "inactive"
            life = self.running.get(slot, 0)
            return f"ActiveState={state}\nInvocationID={life}\nMainPID={life}\n"
        if verb == "start" and name.startswith("mlflow@"):
            if slot in self.running:
                return ""
            release = self._release(slot)
            # Must never happen: MLflow would migrate the databases, or damage an unknown schema.
            assert self.code[release] == self.databases["mlflow"]["schema"], f"{release} on another schema"
            if ("start", release) in self.broken:
                if unseen:
                    return ""
                raise FailedError("Job failed")
            self.lives += 1
            self.running[slot] = self.lives
            self._inner = True
            self.switch().started(slot)
            self._inner = False
        elif verb == "stop" and slot in ("blue", "green"):
            self.running.pop(slot, None)
        return ""

    def _schema(self, release: str, command: str, arguments: list[str]) -> str:
        databases, upgrade = self.databases, arguments[-1] if command in ("copy", "restore") else ""
        if "--id" in arguments:
            upgrade = arguments[arguments.index("--id") + 1]
        if command == "heads":
            schema, code = databases["mlflow"]["schema"], self.code[release]
            self._take_time(command, arguments)
            same = {"database": str(schema), "code": str(code), "known": schema <= code}
            return json.dumps({"tracking": same, "auth": same})
        self._take_time(command, arguments)
        assert not self.running, "a server uses the databases"
        if (command, release) in self.broken:
            raise FailedError(f"{command}: it cannot be done")
        if command == "copy" and databases.get("mlflow_before", {}).get("id") != upgrade:
            databases["mlflow_before"] = {**databases["mlflow"], "id": upgrade}
            databases["mlflow"] = {**databases["mlflow"], "rows": list(databases["mlflow"]["rows"])}
        if command == "migrate":
            databases["mlflow"]["schema"] = self.code[release]
        restored = []
        if command == "restore" and databases.get("mlflow_before", {}).get("id") == upgrade:
            if "--keep-failed" in arguments:
                databases["mlflow_failed"] = databases["mlflow"]
            databases["mlflow"] = databases.pop("mlflow_before")
            restored = ["mlflow"]
        return json.dumps({"restored": restored})

    def _take_time(self, command: str, arguments: list[str]) -> None:
        limits = [word.rpartition("=")[2] for word in arguments if "RuntimeMaxSec=" in word]
        limit, takes = float(limits[0]) if limits else float("inf"), self.slow.get(command, 0)
        self.clock += min(limit, takes)
        if takes > limit:
            raise FailedError("INFO half of it is done")

    def ask(self, kind: str, name: str = "upgrade-1", **options: Any) -> None:
        """Save a request, as mlflowctl does."""
        request = {"id": name, "kind": kind, "options": options, "started": self.clock}
        Journal(self).save("request", request)
