# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the upload speed that the doctor reports with the speed of MLflow's own client.

    .venv/bin/python -m benchmarks artifact-speed --write

Both upload alternately to the same HTTPS server, a process on the loopback interface. `--write` replaces the section of
this benchmark in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "collections"))

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.artifact import MEGABYTE, artifact  # noqa: E402
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.endpoint import Endpoint  # noqa: E402
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.run import TemporaryRun  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

from benchmarks.results import RESULTS, conditions, spread, write  # noqa: E402

TITLE = "Upload speed of the doctor and of MLflow's client"
HOST = "127.0.0.1"


def self_signed(path: Path) -> None:
    """Write a key and its certificate, which clients can trust as a CA."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(plain + certificate.public_bytes(pem))


class Store(BaseHTTPRequestHandler):
    """An artifact store that keeps the last upload in memory."""

    protocol_version = "HTTP/1.1"
    content: ClassVar[bytearray] = bytearray()

    def respond(self, body: bytes | bytearray = b"{}") -> None:
        """Send a response with this body."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """Keep the body."""
        size = int(self.headers["Content-Length"])
        if len(self.content) != size:
            type(self).content = bytearray(size)
        view, position = memoryview(self.content), 0
        while position < size:
            count = self.rfile.readinto1(view[position:])  # type: ignore[attr-defined]
            if not count:
                return
            position += count
        self.respond()

    def do_GET(self) -> None:
        """Return the last upload."""
        self.respond(self.content)

    def do_DELETE(self) -> None:
        """Accept the deletion."""
        self.respond()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


def serve(certificate: str, pipe: Connection) -> None:
    """Run the server and send its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer((HOST, 0), Store)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    pipe.send(server.server_port)
    server.serve_forever()


@contextmanager
def running(certificate: Path) -> Iterator[int]:
    """Run the server in a process of its own, so that it does not share an interpreter with the clients."""
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(str(certificate), sender), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def doctor_speed(port: int, certificate: Path, megabytes: int) -> float:
    """Return the upload speed in MB/s that the doctor's check reports."""
    client = Endpoint(f"{HOST}:{port}", HOST, str(certificate), "admin", "password")
    result = artifact(client, TemporaryRun("run", "mlflow-artifacts:/0/run/artifacts", "0"), megabytes)
    found = re.search(r"(\d+) MB/s up", result.value)
    if not found:
        raise SystemExit(f"error: the check reports no speed: {result}")
    return float(found.group(1))


def client_speed(port: int, file: Path) -> float:
    """Return the upload speed in MB/s of MLflow's client."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    repository = HttpArtifactRepository(f"https://{HOST}:{port}/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts")
    begin = time.monotonic()
    repository.log_artifact(str(file))
    return file.stat().st_size / MEGABYTE / (time.monotonic() - begin)


def measure(megabytes: int, rounds: int) -> str:
    """Return the results as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, file = Path(folder) / "server.pem", Path(folder) / "artifact.bin"
        self_signed(certificate)
        file.write_bytes(os.urandom(megabytes * MEGABYTE))
        os.environ |= {
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificate),
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": "password",
        }
        with running(certificate) as port:
            client_speed(port, file)  # imports mlflow and opens the connection
            pairs = [(doctor_speed(port, certificate, megabytes), client_speed(port, file)) for _round in range(rounds)]
    ours, theirs = (sorted(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return "\n".join(
        (
            f"{rounds} alternating uploads of {megabytes} MB each over HTTPS on the loopback interface."
            f" {conditions('artifact-speed')}",
            "",
            "| Client | MB/s (minimum / median / maximum) |",
            "| --- | --- |",
            f"| doctor, as reported by the check `artifact` | {spread(ours, 0)} |",
            f"| MLflow | {spread(theirs, 0)} |",
            f"| ratio of the medians | {ratio:.2f} |",
        )
    )


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Compare the upload speed of the doctor with MLflow's client")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help=f"write the results to {RESULTS.name}")
    options = parser.parse_args()
    text = measure(options.megabytes, options.rounds)
    print(text)
    if options.write:
        write(RESULTS, TITLE, text)
    return 0
