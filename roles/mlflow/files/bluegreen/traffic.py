# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The link that decides which slot nginx talks to.

nginx connects anew for each request, and the kernel follows the link at that moment. So moving it, in one step, moves
the traffic: nothing is reloaded and no connection of a client is closed. Without it nginx tells clients to come back
later.
"""

from __future__ import annotations

from .machine import Machine, read
from .slots import NAMES

# Waiting to be accepted, and accepted; the listener itself is 01.
CONNECTED = ("02", "03")


class Traffic:
    """Where requests go."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def target(self) -> str | None:
        """Return the slot that gets the requests."""
        link = self._machine.paths.link
        target = link.readlink().parent.name.removeprefix("mlflow-") if link.is_symlink() else ""
        return target if target in NAMES else None

    def move(self, slot: str) -> None:
        """Send requests to a slot from now on."""
        if self.target() != slot:
            self._machine.link(self._machine.paths.link, f"/run/mlflow-{slot}/mlflow.sock")

    def hold(self) -> None:
        """Send requests nowhere: clients are told to try again."""
        self._machine.remove(self._machine.paths.link)

    def connections(self, slot: str) -> int:
        """Return how many requests a slot is working on."""
        path = f"/run/mlflow-{slot}/mlflow.sock"
        fields = [line.split() for line in read(self._machine.paths.root / "proc/net/unix").splitlines()]
        # Num RefCount Protocol Flags Type St Inode Path; the server's end of a connection carries the listener's path.
        return sum(1 for line in fields if len(line) == 8 and line[7] == path and line[5] in CONNECTED)

    def drain(self, slot: str, timeout: float) -> int:
        """Wait until a slot has answered its requests; return how many it has not after `timeout` seconds."""
        # A request that nginx has just begun may not have connected yet.
        self._machine.sleep(1)
        deadline = self._machine.now() + timeout
        while (left := self.connections(slot)) and self._machine.now() < deadline:
            self._machine.sleep(0.2)
        return left
