# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration, start and stop of a slot; the desired state.

A slot is a snapshot of the desired state at its last cutover: release, version of this program, server
configuration and unit settings. A failed change therefore never changes the files from which the active slot would
restart.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from ..errors import FailedError
from ..system import System, read

NAMES = ("blue", "green")


def other(slot: str) -> str:
    """Return the other slot."""
    return NAMES[1 - NAMES.index(slot)]


def unit(slot: str) -> str:
    """Return the systemd unit of a slot."""
    return f"mlflow@{slot}.service"


class Slots:
    """The two slots of a VM."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._paths = system.paths

    # --- Active slot

    def active(self) -> str | None:
        """Return the active slot."""
        name = read(self._paths.slots / "active").strip()
        return name if name in NAMES else None

    def activate(self, slot: str) -> None:
        """Make a slot the active one. The choice survives a reboot."""
        if self.active() != slot:
            self._system.write(self._paths.slots / "active", slot + "\n")

    # --- Configuration

    def _copies(self, slot: str) -> list[tuple[Path, Path]]:
        """Return the files of the desired state, each with the path of the slot's copy."""
        directory = self._paths.slots / slot
        return [
            (self._paths.configuration / "server.json", directory / "server.json"),
            # In /etc, because /opt may not be mounted yet when systemd reads the units.
            (self._paths.configuration / "unit.conf", self._paths.units / f"{unit(slot)}.d" / "settings.conf"),
        ]

    def release(self, slot: str) -> str | None:
        """Return the release directory of a slot."""
        link = self._paths.slots / slot / "release"
        return str(link.readlink()) if link.is_symlink() else None

    def wanted_release(self) -> str:
        """Return the directory of the desired release."""
        if not self._paths.wanted.is_symlink():
            raise FailedError(f"{self._paths.wanted} does not exist: no release is selected. Run site.yml")
        return str(self._paths.wanted.readlink())

    def program(self, slot: str) -> str | None:
        """Return the directory of the program version that starts the server of a slot."""
        link = self._paths.slots / slot / "program"
        return str(link.readlink()) if link.is_symlink() else None

    def wanted_program(self) -> str:
        """Return the directory of the installed version of this program."""
        if not self._paths.program.is_symlink():
            raise FailedError(f"{self._paths.program} does not exist. Run site.yml")
        return str(self._paths.program.readlink())

    def version(self, release: str | None) -> str | None:
        """Return the version of the release in a directory, None if the release is not complete."""
        return read(self._paths.root / f"{release}/.complete".lstrip("/")).strip() or None if release else None

    def settings(self, slot: str) -> dict[str, Any]:
        """Return the server configuration of a slot."""
        settings: dict[str, Any] = json.loads(read(self._paths.slots / slot / "server.json") or "{}")
        return settings

    def take(self, slot: str) -> None:
        """Copy the desired state into a slot, which must be stopped."""
        release = self.wanted_release()
        if self.version(release) is None:
            raise FailedError(f"the release {release} does not exist or is not complete. Run site.yml")
        self._system.link(self._paths.slots / slot / "release", release)
        self._system.link(self._paths.slots / slot / "program", self.wanted_program())
        for wanted, copy in self._copies(slot):
            text = read(wanted)
            if not text:
                raise FailedError(f"{wanted} is missing or empty. Run site.yml")
            self._write(copy, text)

    def give_back(self, slot: str) -> None:
        """Reset the desired state to the slot's release and configuration. The program keeps its new version."""
        release = self.release(slot)
        if release is None:
            return
        if not self._paths.wanted.is_symlink() or self.wanted_release() != release:
            self._system.link(self._paths.wanted, release)
        for wanted, copy in self._copies(slot):
            self._write(wanted, read(copy))

    def want_release(self, release: str) -> None:
        """Change the desired release, not the desired configuration."""
        self._system.link(self._paths.wanted, release)

    def _write(self, path: Path, text: str) -> None:
        if read(path) == text:
            return
        self._system.write(path, text)
        if path.suffix == ".conf":
            self._system.run("systemctl", "daemon-reload")

    def unseen(self, slot: str) -> list[str]:
        """Return the names of the parts that have changed since the start of a slot and need a cutover."""
        names = [] if self.release(slot) == self.wanted_release() else ["release"]
        names += [] if self.program(slot) == self.wanted_program() else ["program"]
        names += [wanted.name for wanted, copy in self._copies(slot) if read(wanted) != read(copy)]
        # The launcher writes pgpass at every start.
        started = self._paths.runtime(slot) / "pgpass"
        if started.exists():
            since = started.stat().st_mtime_ns
            files = [self._paths.units / "mlflow@.service"]
            files += [path for store in self._paths.credentials for path in store.glob("mlflow.*")]
            names += [path.name for path in files if path.exists() and path.stat().st_mtime_ns > since]
        return sorted(set(names))

    # --- Start and stop

    def show(self, slot: str, *properties: str) -> dict[str, str]:
        """Return properties of the slot's unit."""
        lines = self._system.run("systemctl", "show", "-p", ",".join(properties), unit(slot)).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def running(self, slot: str) -> bool:
        """Return whether a slot has started and passed its readiness check."""
        return self.show(slot, "ActiveState")["ActiveState"] == "active"

    def uptime(self, slot: str) -> float:
        """Return the seconds since a slot became ready, 0 if it does not run."""
        shown = self.show(slot, "ActiveState", "ActiveEnterTimestampMonotonic")
        since = int(shown.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        return round(time.monotonic() - since, 1) if shown["ActiveState"] == "active" else 0.0

    def life(self, slot: str) -> str | None:
        """Return an ID that changes with every restart of a slot's server, None if the slot does not run."""
        shown = self.show(slot, "ActiveState", "InvocationID", "MainPID")
        return f"{shown['InvocationID']} {shown['MainPID']}" if shown["ActiveState"] == "active" else None

    def start(self, slot: str) -> None:
        """Start a slot and wait until it is ready."""
        try:
            self._system.run("systemctl", "start", unit(slot))
        except FailedError:
            raise FailedError(f"{unit(slot)} did not start: {self.last_log_lines(slot)}") from None

    def last_log_lines(self, slot: str) -> str:
        """Return the last log lines of a slot's server."""
        try:
            # Only lines of the server: the messages of systemd do not name the cause.
            told = ("-u", unit(slot), "-t", "mlflow", "-n", "20")
            words = self._system.run("journalctl", *told, "--no-pager", "-o", "cat", "-q")
        except FailedError:
            words = ""
        # Without the indented lines of tracebacks and the messages of the readiness check.
        lines = [line.strip() for line in words.splitlines() if line[:1].strip() and "ready" not in line]
        return " / ".join(lines[-2:])[-600:].rstrip(".") or f"see journalctl -u {unit(slot)}"

    def start_later(self, slot: str) -> None:
        """Request the start of a slot and do not wait."""
        self._system.run("systemctl", "start", "--no-block", unit(slot))

    def stop(self, slot: str) -> None:
        """Stop a slot. Its configuration limits the time for in-flight requests."""
        self._system.run("systemctl", "stop", unit(slot))
        # Clear the state "failed". The command fails if systemd has not loaded the unit.
        with contextlib.suppress(FailedError):
            self._system.run("systemctl", "reset-failed", unit(slot), quiet=True)

    # --- Old releases

    def prune(self, keep: int, protected: set[str], *, interrupted: bool = False) -> list[str]:
        """Remove unused releases except the `keep` newest; return the names of the removed ones.

        With `interrupted`, incomplete releases are removed too. The caller must ensure that no build is running.
        """
        used = {self.release(slot) for slot in NAMES} | {self.wanted_release()} | protected
        used_names = {Path(path).name for path in used if path}
        marks = sorted(self._paths.releases.glob("*/.complete"), key=lambda mark: mark.stat().st_mtime, reverse=True)
        spare = [mark.parent for mark in marks if mark.parent.name not in used_names]
        gone = spare[keep:]
        if interrupted:
            builds = [each for each in self._paths.releases.iterdir() if each.is_dir()]
            gone += [each for each in builds if not (each / ".complete").exists() and each.name not in used_names]
        for directory in gone:
            # Remove the mark first: if this process is interrupted, the release counts as incomplete.
            self._system.remove(directory / ".complete")
            shutil.rmtree(directory)
        return [directory.name for directory in gone]

    def prune_programs(self) -> None:
        """Remove the versions of this program that no slot uses, except the installed one."""
        used = {Path(path).name for path in (*map(self.program, NAMES), self.wanted_program()) if path}
        for directory in self._paths.programs.iterdir():
            if directory.name not in used:
                shutil.rmtree(directory)
