# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that open a new TLS connection for each request, and record failures and server certificates."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography import x509


@dataclass
class Connections:
    """Connections to a server. `trusted` contains the CA certificates in PEM form."""

    address: tuple[str, int]
    name: str
    trusted: str
    failures: list[str] = field(default_factory=list)
    certificates: list[x509.Certificate] = field(default_factory=list)

    def ask(self) -> x509.Certificate | None:
        """Send one request on a new connection. Return the certificate of the server, or None after a failure."""
        context = ssl.create_default_context(cadata=self.trusted)
        try:
            with (
                socket.create_connection(self.address, timeout=30) as plain,
                context.wrap_socket(plain, server_hostname=self.name) as tls,
            ):
                found = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
                tls.sendall(f"GET /health HTTP/1.1\r\nHost: {self.name}\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: tls.recv(65536), b""))
            if not answer.startswith(b"HTTP/1.1 200"):
                raise OSError(repr(answer[:100]))
        except OSError as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return None
        self.certificates.append(found)
        return found

    @contextmanager
    def repeated(self, clients: int = 2, pause: float = 0.01) -> Iterator[None]:
        """Send requests until the end of the block."""
        stop = threading.Event()

        def client() -> None:
            while not stop.wait(pause):
                self.ask()

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
