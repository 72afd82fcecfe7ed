# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The sockets that the local cloud listens on."""

from __future__ import annotations

import socket

from localcloud.core.sockets import bound


def test_no_answer_waits_for_an_acknowledgement() -> None:
    with bound("127.0.0.1", 0) as door:
        door.listen()
        with socket.create_connection(door.getsockname()), door.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
