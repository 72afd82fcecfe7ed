# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The ACME client of the VM with a real certificate authority (pebble) and nginx."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.front_end import programs
from tests.front_end.acme_directory import BINDING, AcmeDirectory, acme_directory
from tests.front_end.client import NAME
from tests.front_end.site import ROLES, Site, site
from tests.support.connections import Connections

FILES = ROLES / "acme" / "files"
# Runs with the Python of the system, and so with Debian's library, as on a VM.
DRIVER = """
import contextlib, json, pathlib, sys
import issue

given = json.load(sys.stdin)

@contextlib.contextmanager
def publish(proof):
    path = pathlib.Path(given["challenges"], proof.token)
    path.write_text(proof.content)
    yield
    path.unlink()

try:
    print(json.dumps({"pem": issue.issue(issue.Order(**given["order"]), issue.Account(**given["account"]), publish)}))
except issue.IssueError as error:
    print(json.dumps({"error": str(error), "remedy": error.remedy}))
"""
KEY = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)


@dataclass
class Server:
    """A server with an ACME client."""

    site: Site
    challenges: Path

    def order(
        self, directory: AcmeDirectory, hostname: str = NAME, *, challenge: str = "http-01", **account: str
    ) -> dict[str, str]:
        """Order a certificate."""
        order = {
            "hostname": hostname,
            "directory": directory.url,
            "terms_agreed": True,
            "challenge": challenge,
            "ca_file": str(directory.ca_file),
            "timeout": 30,
        }
        given = {"order": order, "account": {"key": KEY} | account, "challenges": str(self.challenges)}
        done = subprocess.run(
            ["/usr/bin/python3", "-c", DRIVER],
            input=json.dumps(given),
            env=os.environ | {"PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    def install(self, pem: str) -> None:
        """Install a certificate as the service does. nginx and systemctl are scripts for the nginx of the test."""
        root = self.site.root
        (root / "new.pem").write_text(pem)
        (root / "bin").mkdir(exist_ok=True)
        command = f"{programs.nginx()} -p {root} -c {root}/nginx.conf -e {root}/error.log"
        pid = root / "nginx.pid"
        for name, line in (("nginx", f'exec {command} "$@"'), ("systemctl", f"kill -HUP $(cat {pid})")):
            (root / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (root / "bin" / name).chmod(0o755)
        files = {"source": "new.pem", "target": "server.pem", "loaded": "loaded"}
        arguments = [f"--{name}={root / file}" for name, file in files.items()]
        done = subprocess.run(
            ["/usr/bin/python3", FILES / "install.py", *arguments],
            env=os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    challenges = tmp_path_factory.mktemp("challenges")
    with site("authentication_basic", nginx_acme_challenges=str(challenges)) as made:
        yield Server(made, challenges)


@pytest.fixture(scope="module")
def directory(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeDirectory]:
    with acme_directory(tmp_path_factory.mktemp("pebble"), server.site.http_port) as made:
        yield made


def test_a_renewal_under_load_fails_no_request_and_no_handshake(server: Server, directory: AcmeDirectory) -> None:
    """First from a self-signed certificate to one of the directory, then a renewal. Clients trust both."""
    trusted = (server.site.root / "server.pem").read_text() + directory.root()
    clients = Connections(("127.0.0.1", server.site.port), NAME, trusted[trusted.index("-----BEGIN CERT") :])
    with clients.repeated():
        for _renewal in range(2):
            server.install(server.order(directory)["pem"])
            time.sleep(0.5)
    assert clients.failures == []
    issuers = [found.issuer.rfc4514_string() for found in clients.certificates]
    assert len(issuers) > 20
    assert issuers[0] == f"CN={NAME}"
    assert "Pebble Intermediate CA" in issuers[-1]
    assert list(server.challenges.iterdir()) == []


def test_the_account_is_used_again(server: Server, directory: AcmeDirectory) -> None:
    server.order(directory)
    server.order(directory)
    accounts = {line.rpartition("There are now ")[2] for line in directory.log.splitlines() if "accounts in" in line}
    assert accounts == {"1 accounts in memory"}, accounts


def test_a_challenge_that_fails_names_cause_and_remedy(server: Server, directory: AcmeDirectory) -> None:
    answer = server.order(directory, f"other.{NAME}")
    assert answer["error"].startswith("connection: ") or answer["error"].startswith("dns: ")
    assert f"other.{NAME}" in answer["error"]
    assert answer["remedy"]


def test_a_record_that_the_authority_does_not_find(server: Server, directory: AcmeDirectory) -> None:
    """With DNS-01, the remedy is not port 80: the parent zone may name other name servers."""
    answer = server.order(directory, challenge="dns-01")
    assert "TXT" in answer["error"]
    assert answer["remedy"].startswith("Let the NS records of the parent zone")


def test_an_authority_that_does_not_answer(server: Server, tmp_path: Path) -> None:
    (tmp_path / "directory-ca.pem").write_text("")
    gone = AcmeDirectory(tmp_path, programs.free_port(), 0, [])
    answer: dict[str, Any] = server.order(gone)
    assert answer["error"].startswith("unreachable: ")
    assert "certificates_acme_ca_file" in answer["remedy"]
    assert "pem" not in answer


def test_an_external_account_binding(server: Server, tmp_path: Path) -> None:
    with acme_directory(tmp_path, server.site.http_port, binding=True) as made:
        refused = server.order(made)
        assert refused["error"].startswith("externalAccountRequired: ")
        assert "certificates_acme_eab_key_id" in refused["remedy"]
        assert server.order(made, **BINDING)["pem"]
        # The account exists, so the binding is not needed.
        assert server.order(made)["pem"]


def test_a_short_lifetime(server: Server, directory: AcmeDirectory) -> None:
    pem = server.order(directory)["pem"]
    found = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERT") :].encode())
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days in (5, 6)


def test_nginx_answers_no_other_path_of_the_challenges(server: Server) -> None:
    (server.challenges.parent / "secret").write_text("secret")

    def get(path: str) -> str:
        with socket.create_connection(("127.0.0.1", server.site.http_port), timeout=10) as plain:
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: plain.recv(65536), b"")).decode()

    assert get("/.well-known/acme-challenge/none").startswith("HTTP/1.1 404")
    for path in ("/.well-known/acme-challenge/../secret", "/.well-known/acme-challenge/%2e%2e/secret"):
        assert "secret\n" not in get(path)
        assert " 200 " not in get(path).splitlines()[0]
