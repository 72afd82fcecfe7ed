# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Sockets on which the local cloud listens."""

from __future__ import annotations

import socket


def bound(address: str, port: int) -> socket.socket:
    """Return a TCP socket bound to an IPv4 address and a port, ready to listen. Raises OSError."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit the option; asyncio sets it only on sockets with an explicit protocol number. Without it, each
    # answer on a kept connection but the first waits 40 ms for the client's delayed acknowledgement.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        door.bind((address, port))
    except OSError:
        door.close()
        raise
    return door
