# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What a slot runs, what is wanted, start and stop.

A slot is a snapshot of what was wanted when it was last switched to: release, settings, launcher, the settings of its
unit. So a change that fails never touches what the serving slot would restart with.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from .machine import FailedError, Machine, read

NAMES = ("blue", "green")

SERVER_PACKAGE = (
    "mlflow_gcp_server/__init__.py",
    "mlflow_gcp_server/app.py",
    "mlflow_gcp_server/artifacts.py",
    "mlflow_gcp_server/credentials.py",
    "mlflow_gcp_server/limit.py",
    "mlflow_gcp_server.dist-info/METADATA",
    "mlflow_gcp_server.dist-info/entry_points.txt",
)
"""Files that run in the server's processes."""


def other(slot: str) -> str:
    """Return the other one of the two."""
    return NAMES[1 - NAMES.index(slot)]


def unit(slot: str) -> str:
    """Return a slot's unit."""
    return f"mlflow@{slot}.service"


class Slots:
    """The two slots of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._paths = machine.paths

    # --- Which one

    def active(self) -> str | None:
        """Return the slot that serves, also after a boot."""
        name = read(self._paths.slots / "active").strip()
        return name if name in NAMES else None

    def activate(self, slot: str) -> None:
        """Make a slot the one that serves after a boot."""
        if self.active() != slot:
            self._machine.write(self._paths.slots / "active", slot + "\n")

    # --- What it runs

    def _copies(self, slot: str) -> list[tuple[Path, Path]]:
        """Return what is wanted and where a slot keeps its copy."""
        directory = self._paths.slots / slot
        return [
            (self._paths.configuration / "server.json", directory / "server.json"),
            *((self._paths.libexec / name, directory / name) for name in ("launch.py", *SERVER_PACKAGE)),
            # systemd must find it before /opt may be there.
            (self._paths.configuration / "unit.conf", self._paths.units / f"{unit(slot)}.d" / "settings.conf"),
        ]

    def release(self, slot: str) -> str | None:
        """Return the directory of a slot's release."""
        link = self._paths.slots / slot / "release"
        return str(link.readlink()) if link.is_symlink() else None

    def wanted_release(self) -> str:
        """Return the directory of the release that is wanted."""
        if not self._paths.wanted.is_symlink():
            raise FailedError(f"{self._paths.wanted} does not exist: no release was chosen. Run site.yml")
        return str(self._paths.wanted.readlink())

    def version(self, release: str | None) -> str | None:
        """Return the version of a release, by its directory."""
        return read(self._paths.root / f"{release}/.complete".lstrip("/")).strip() or None if release else None

    def settings(self, slot: str) -> dict[str, Any]:
        """Return a slot's server settings."""
        settings: dict[str, Any] = json.loads(read(self._paths.slots / slot / "server.json") or "{}")
        return settings

    def take(self, slot: str) -> None:
        """Copy what is wanted into a slot, which must not run."""
        release = self.wanted_release()
        if self.version(release) is None:
            raise FailedError(f"the release {release} is not there, or was never completed. Run site.yml")
        self._machine.link(self._paths.slots / slot / "release", release)
        for wanted, copy in self._copies(slot):
            text = read(wanted)
            if not text:
                raise FailedError(f"{wanted} is missing or empty. Run site.yml")
            self._write(copy, text)

    def give_back(self, slot: str) -> None:
        """Want again what a slot runs. (The launcher stays: it is a program of ours, not a setting.)"""
        release = self.release(slot)
        if release is None:
            return
        if not self._paths.wanted.is_symlink() or self.wanted_release() != release:
            self._machine.link(self._paths.wanted, release)
        for wanted, copy in self._copies(slot):
            if wanted.parent == self._paths.configuration:
                self._write(wanted, read(copy))

    def want_release(self, release: str) -> None:
        """Want another release with the same settings."""
        self._machine.link(self._paths.wanted, release)

    def _write(self, path: Path, text: str) -> None:
        if read(path) == text:
            return
        self._machine.write(path, text)
        if path.suffix == ".conf":
            self._machine.run("systemctl", "daemon-reload")

    def unseen(self, slot: str) -> list[str]:
        """Name what was changed since a slot was started: it is wanted, but does not serve yet."""
        names = [] if self.release(slot) == self.wanted_release() else ["release"]
        names += [wanted.name for wanted, copy in self._copies(slot) if read(wanted) != read(copy)]
        # The launcher writes it at every start.
        started = self._paths.runtime(slot) / "auth.ini"
        if started.exists():
            since = started.stat().st_mtime_ns
            files = [self._paths.units / "mlflow@.service"]
            files += [path for store in self._paths.credentials for path in store.glob("mlflow.*")]
            names += [path.name for path in files if path.exists() and path.stat().st_mtime_ns > since]
        return sorted(set(names))

    # --- Start and stop

    def show(self, slot: str, *properties: str) -> dict[str, str]:
        """Return properties of a slot's unit."""
        lines = self._machine.run("systemctl", "show", "-p", ",".join(properties), unit(slot)).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def running(self, slot: str) -> bool:
        """Tell whether a slot has started and was ready."""
        return self.show(slot, "ActiveState")["ActiveState"] == "active"

    def life(self, slot: str) -> str | None:
        """Return what changes when a slot's server dies and is started again; nothing when it does not run."""
        shown = self.show(slot, "ActiveState", "InvocationID", "MainPID")
        return f"{shown['InvocationID']} {shown['MainPID']}" if shown["ActiveState"] == "active" else None

    def start(self, slot: str) -> None:
        """Start a slot and wait until it is ready."""
        try:
            self._machine.run("systemctl", "start", unit(slot))
        except FailedError:
            raise FailedError(f"{unit(slot)} did not start: {self.last_words(slot)}") from None

    def last_words(self, slot: str) -> str:
        """Return the last lines that a slot's server wrote."""
        try:
            # By its name alone: what systemd remarks says nothing about the cause.
            told = ("-u", unit(slot), "-t", "mlflow", "-n", "20")
            words = self._machine.run("journalctl", *told, "--no-pager", "-o", "cat", "-q")
        except FailedError:
            words = ""
        # Tracebacks are indented; ready.py waits for what has ended.
        lines = [line.strip() for line in words.splitlines() if line[:1].strip() and "ready" not in line]
        return " / ".join(lines[-2:])[-600:].rstrip(".") or f"see journalctl -u {unit(slot)}"

    def start_later(self, slot: str) -> None:
        """Have a slot started without waiting for it."""
        self._machine.run("systemctl", "start", "--no-block", unit(slot))

    def stop(self, slot: str) -> None:
        """Stop a slot; requests in flight get the time that its settings give them."""
        self._machine.run("systemctl", "stop", unit(slot))
        # A slot that failed is not to appear as failed for ever; systemd knows only those that did something.
        with contextlib.suppress(FailedError):
            self._machine.run("systemctl", "reset-failed", unit(slot), quiet=True)

    # --- Old releases

    def prune(self, keep: int, protected: set[str], *, interrupted: bool = False) -> list[str]:
        """Remove releases that nobody uses, all but the `keep` newest; return their names.

        With `interrupted` those go too that were never completed; only who knows that none is being built may say so.
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
            # Without its mark it counts as interrupted, should this be.
            self._machine.remove(directory / ".complete")
            shutil.rmtree(directory)
        return [directory.name for directory in gone]
