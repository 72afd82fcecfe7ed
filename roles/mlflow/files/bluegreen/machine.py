# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The one door to the machine: processes, files that survive a power cut, time. Tests come in through it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


class FailedError(Exception):
    """What failed, in words for the operator. `code` is the program's exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Paths:
    """Where everything is."""

    root: Path = Path("/")

    @property
    def releases(self) -> Path:
        """Whole virtual environments, one to a release."""
        return self.root / "opt/mlflow/releases"

    @property
    def wanted(self) -> Path:
        """Link to the release that is wanted."""
        return self.root / "opt/mlflow/current"

    @property
    def configuration(self) -> Path:
        """The server configuration that is wanted: server.json, unit.conf."""
        return self.root / "etc/mlflow"

    @property
    def libexec(self) -> Path:
        """Our programs."""
        return self.root / "opt/mlflow/libexec"

    @property
    def slots(self) -> Path:
        """A directory to a slot, and `active`, the name of the one that serves."""
        return self.root / "opt/mlflow/slots"

    @property
    def units(self) -> Path:
        """Units of this machine."""
        return self.root / "etc/systemd/system"

    @property
    def credentials(self) -> list[Path]:
        """Where systemd looks for credentials."""
        return [self.root / "etc/credstore", self.root / "run/credstore"]

    @property
    def link(self) -> Path:
        """What nginx connects to."""
        return self.root / "run/mlflow/mlflow.sock"

    @property
    def state(self) -> Path:
        """Journal, request, result; survives a boot."""
        return self.root / "var/lib/mlflow-switch"

    def runtime(self, slot: str) -> Path:
        """Return the runtime directory of a slot, where its socket is."""
        return self.root / f"run/mlflow-{slot}"


class Machine:
    """This machine."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.paths = Paths(root)

    def run(self, *command: str, timeout: float | None = None, quiet: bool = False) -> str:
        """Return what a command prints; the last line of its complaints is the error when it fails."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise FailedError(f"{command[0]} took more than {timeout:.0f} s") from None
        if done.returncode:
            # The last line is what programs end with; a traceback's other lines are in the journal.
            if not quiet:
                sys.stderr.write(done.stderr)
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise FailedError(" ".join(words) or f"{command[0]} ended with {done.returncode}")
        return done.stdout

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Replace a file in one step; after a power cut it is the old one or the new one, never half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as handle:
            # Whatever the umask of who runs this.
            os.fchmod(handle.fileno(), mode)
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        self._sync(path.parent)

    def link(self, path: Path, target: str) -> None:
        """Point a link somewhere else in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
        self._sync(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)
        if path.parent.exists():
            self._sync(path.parent)

    @staticmethod
    def _sync(directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


def read(path: Path) -> str:
    """Return a file's text, or nothing when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
