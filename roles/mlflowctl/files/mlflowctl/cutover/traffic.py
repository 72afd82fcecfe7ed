# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The link that selects the slot for nginx.

nginx opens a connection for each request, and the kernel resolves the link at that moment. Replacing the link
atomically moves the traffic: nginx is not reloaded and no client connection is closed. Without the link, nginx answers
503 with Retry-After (maintenance mode).
"""

from __future__ import annotations

from ..system import System, read
from .slots import NAMES

# Socket states in /proc/net/unix: connecting, connected. The listener has state 01.
CONNECTED = ("02", "03")


class Traffic:
    """Routing of the requests to a slot."""

    def __init__(self, system: System) -> None:
        self._system = system

    def target(self) -> str | None:
        """Return the slot that receives the requests, None in maintenance mode."""
        link = self._system.paths.link
        target = link.readlink().parent.name.removeprefix("mlflow-") if link.is_symlink() else ""
        return target if target in NAMES else None

    def move(self, slot: str) -> None:
        """Send new requests to a slot."""
        if self.target() != slot:
            self._system.link(self._system.paths.link, f"/run/mlflow-{slot}/mlflow.sock")

    def hold(self) -> None:
        """Start maintenance mode: clients are asked to try again."""
        self._system.remove(self._system.paths.link)

    def connections(self, slot: str) -> int:
        """Return the number of in-flight requests of a slot."""
        path = f"/run/mlflow-{slot}/mlflow.sock"
        fields = [line.split() for line in read(self._system.paths.root / "proc/net/unix").splitlines()]
        # Num RefCount Protocol Flags Type St Inode Path. The server end of a connection has the path of the listener.
        return sum(1 for line in fields if len(line) == 8 and line[7] == path and line[5] in CONNECTED)

    def drain(self, slot: str, timeout: float) -> int:
        """Wait for the in-flight requests of a slot; return their number after `timeout` seconds."""
        # nginx may have started a request that is not connected yet.
        self._system.sleep(1)
        deadline = self._system.now() + timeout
        while (left := self.connections(slot)) and self._system.now() < deadline:
            self._system.sleep(0.2)
        return left
