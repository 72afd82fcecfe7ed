# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Access to the operating system of the VM: processes, files that survive a power cut, time. Tests replace `System`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import FailedError

PROGRAM = Path(__file__).resolve().parents[1]
"""Directory of this version of the program. It never changes, and an update does not replace it."""
PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Paths:
    """Paths of the deployment on the VM."""

    root: Path = Path("/")

    @property
    def releases(self) -> Path:
        """Virtual environments, one for each release."""
        return self.root / "opt/mlflow/releases"

    @property
    def wanted(self) -> Path:
        """Link to the desired release."""
        return self.root / "opt/mlflow/current"

    @property
    def configuration(self) -> Path:
        """The desired server configuration: server.json, unit.conf."""
        return self.root / "etc/mlflow"

    @property
    def program(self) -> Path:
        """Link to the installed version of this program."""
        return self.root / "opt/mlflow/program"

    @property
    def programs(self) -> Path:
        """Versions of this program."""
        return self.root / "opt/mlflow/programs"

    @property
    def slots(self) -> Path:
        """A directory for each slot, and the file `active` with the name of the active slot."""
        return self.root / "opt/mlflow/slots"

    @property
    def units(self) -> Path:
        """Directory of the systemd units."""
        return self.root / "etc/systemd/system"

    @property
    def credentials(self) -> list[Path]:
        """Directories in which systemd looks for credentials."""
        return [self.root / "etc/credstore", self.root / "run/credstore"]

    @property
    def link(self) -> Path:
        """The link through which nginx connects."""
        return self.root / "run/mlflow/mlflow.sock"

    @property
    def state(self) -> Path:
        """State files of the cutover. The directory survives a reboot."""
        return self.root / "var/lib/mlflow-switch"

    def runtime(self, slot: str) -> Path:
        """Return the runtime directory of a slot, which holds its socket."""
        return self.root / f"run/mlflow-{slot}"


class System:
    """The operating system that this process runs on."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.paths = Paths(root)

    def run(self, *command: str, timeout: float | None = None, quiet: bool = False) -> str:
        """Run a command and return its standard output. If it fails, the last line of its error output is the cause."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise FailedError(f"{command[0]} took more than {timeout:.0f} s") from None
        if done.returncode:
            # The last line of a traceback is the error. The systemd journal gets all lines.
            if not quiet:
                sys.stderr.write(done.stderr)
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise FailedError(" ".join(words) or f"{command[0]} ended with {done.returncode}")
        return done.stdout

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Replace a file atomically. After a power cut the file has either the old or the new content."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as handle:
            # Independent of the umask of the process.
            os.fchmod(handle.fileno(), mode)
            handle.write(text)
            handle.flush()
            self.sync(handle.fileno())
        temporary.replace(path)
        self._sync_directory(path.parent)

    def link(self, path: Path, target: str) -> None:
        """Change the target of a link atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
        self._sync_directory(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file if it exists."""
        path.unlink(missing_ok=True)
        if path.parent.exists():
            self._sync_directory(path.parent)

    def sync(self, descriptor: int) -> None:
        """Wait until a file or directory is on the disk."""
        os.fsync(descriptor)

    def _sync_directory(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def read(path: Path) -> str:
    """Return the text of a file, empty if the file does not exist."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
