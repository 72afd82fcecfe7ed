# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Identify the ansible-playbook process of a module, and tell whether a process of this host still runs. Linux only."""

from __future__ import annotations

import getpass
import itertools
import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "ansible-playbook"


def command_of(process: int) -> list[str]:
    """Return the arguments of a process, or an empty list if the process has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _status(process: int) -> list[str]:
    """Return state, parent and the following fields of a process, or an empty list if the process has ended."""
    try:
        # The name in parentheses may contain spaces and parentheses.
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def parent_of(process: int) -> int:
    """Return the parent of a process, or 0 if there is none."""
    status = _status(process)
    return int(status[1]) if status else 0


def started(process: int) -> str:
    """Return the start time of a process in clock ticks since the boot, or an empty string if it has ended."""
    status = _status(process)
    return status[19] if status and status[0] not in ("X", "Z") else ""


def is_playbook(process: int) -> bool:
    """Return whether a process is ansible-playbook or one of its forks."""
    words = command_of(process)
    # Flags of the interpreter precede the program.
    rest = list(itertools.dropwhile(lambda word: word.startswith("-") and word not in ("-m", "-c"), words[1:]))
    named = any(Path(word).name == PROGRAM for word in words[:1] + rest[:1])
    return named or rest[:3] == ["-m", "ansible", "playbook"]


def find_playbook(process: int) -> int:
    """Return the ansible-playbook process above a process, or 0."""
    while process > 0 and not is_playbook(process):
        process = parent_of(process)
    # The worker of a task is a fork with the same arguments.
    while process > 0 and is_playbook(parent_of(process)):
        process = parent_of(process)
    return max(process, 0)


def host_identity() -> str:
    """Return an ID of this boot and process namespace. Host names are not unique, for example in containers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def user() -> str:
    """Return the name of the user, or the number of a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@dataclass(frozen=True)
class Run:
    """One ansible-playbook process. No other process ever has the same ``identity``."""

    pid: int
    started: str
    place: str

    @classmethod
    def of(cls, pid: int) -> Run:
        """Return the run of a process of this host."""
        return cls(pid, started(pid), host_identity())

    @classmethod
    def parse(cls, identity: str) -> Run | None:
        """Return the run with this identity, or None if the text is not an identity."""
        place, _colon, rest = identity.rpartition(":")
        pid, _at, begun = rest.partition("@")
        return cls(int(pid), begun, place) if place and begun and pid.isdigit() else None

    @property
    def identity(self) -> str:
        """Return a text that identifies this run among those of all hosts."""
        return f"{self.place}:{self.pid}@{self.started}"

    def has_ended(self) -> bool:
        """Return whether the process ran on this host and has ended. False for a process of another host."""
        return self.place == host_identity() and started(self.pid) != self.started


def host() -> str:
    """Return the name of this host."""
    return socket.gethostname()
