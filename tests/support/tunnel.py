# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy that connects clients to a server whose host name no name server knows."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Address = tuple[str, int]


class _Handler(socketserver.StreamRequestHandler):
    find: Callable[[str], Address | None]

    def handle(self) -> None:
        """Answer a CONNECT request, and copy until one side ends."""
        method, name, _version = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        target = self.find(name.removesuffix(":443")) if method == "CONNECT" else None
        if target is None:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        with socket.create_connection(target) as upstream:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=[upstream, self.connection], daemon=True)
            back.start()
            _copy(self.connection, upstream)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def tunnel(find: Callable[[str], Address | None]) -> Iterator[str]:
    """Run the proxy; yield its URL. `find` returns the address for the name of a CONNECT request to port 443."""
    handler = type("Handler", (_Handler,), {"find": staticmethod(find)})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
