# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTPS proxy whose tunnels to Google's host names end at a local cloud.

The modules of google.cloud have no option for another endpoint. With this proxy all clients send HTTPS requests to
Google's host names, as they do at Google.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from pathlib import Path

from localcloud.engine.authority import Authority

HOST = "127.0.0.1"
BLOCK = 2**16


def server_context(authority: Authority, folder: Path) -> ssl.SSLContext:
    """Return a context with a certificate for Google's host names."""
    issued = authority.issue("googleapis.com", "*.googleapis.com")
    file = folder / "google.pem"
    file.write_text(issued.key + issued.certificate, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Copy one direction of a connection until its end."""
    with contextlib.suppress(OSError):
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@contextlib.contextmanager
def serve(port: int, context: ssl.SSLContext) -> Iterator[str]:
    """Run the proxy of the local cloud on this port in a thread; yield the proxy's URL."""
    loop = asyncio.new_event_loop()

    async def tunnel(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")  # CONNECT; the local cloud is the only destination
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(context)
            their_reader, their_writer = await asyncio.open_connection(HOST, port)
            await asyncio.gather(copy(reader, their_writer), copy(their_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(tunnel, HOST, 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
