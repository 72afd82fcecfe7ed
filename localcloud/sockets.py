# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Sockets that the local cloud is reached by."""

from __future__ import annotations

import socket


def bound(address: str, port: int) -> socket.socket:
    """Return a TCP socket bound to an IPv4 address and a port, ready to listen. Raises OSError."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it; asyncio sets it only where the socket was made with its protocol's number. Without it,
    # each answer on a kept connection but the first waits 40 ms for the client's delayed acknowledgement.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        door.bind((address, port))
    except OSError:
        door.close()
        raise
    return door
