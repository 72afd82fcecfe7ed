# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check results of the server's certificate and of the CA, with real TLS servers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.certificates import ca, certificate
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.endpoint import Endpoint
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.strict_tls import certificates, extended, handshake
from tests.unit.module_utils._doctor.harness import NOW, endpoint


class CertificateAuthority:
    """A certificate authority in a directory, and TLS servers with its certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The test's CA")])
        self.path = folder / "ca.pem"

    def build(
        self, days: float, *, ca: bool, name: str = "127.0.0.1", identifiers: bool = True, lifetime: float = 0
    ) -> tuple[x509.Certificate, Any]:
        key = self.key if ca else ec.generate_private_key(ec.SECP256R1())
        subject = self.name if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        end = datetime.now(UTC) + timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(
                end - timedelta(days=lifetime) if lifetime else min(end, datetime.now(UTC)) - timedelta(days=1000)
            )
            .not_valid_after(end)
        )
        if identifiers:
            builder = extended(builder, key, self.key, ca=ca)
        else:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256()), key

    def save(self, days: float = 3000, *, identifiers: bool = True) -> Path:
        certificate, _ = self.build(days, ca=True, identifiers=identifiers)
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return self.path

    def chain(self, days: float, name: str = "127.0.0.1", *, identifiers: bool = True, lifetime: float = 0) -> Path:
        certificate, key = self.build(days, ca=False, name=name, identifiers=identifiers, lifetime=lifetime)
        path = self.folder / "server.pem"
        pem = serialization.Encoding.PEM
        plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(plain + certificate.public_bytes(pem))
        return path


@pytest.fixture
def own_ca(tmp_path: Path) -> CertificateAuthority:
    made = CertificateAuthority(tmp_path)
    made.save()
    return made


@pytest.fixture
def shown(own_ca: CertificateAuthority) -> Iterator[Callable[..., Endpoint]]:
    """Yield a function that starts a server whose certificate is valid for this number of days."""
    listeners: list[socket.socket] = []

    def serve(days: float, name: str = "127.0.0.1", *, identifiers: bool = True, lifetime: float = 0) -> Endpoint:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own_ca.chain(days, name, identifiers=identifiers, lifetime=lifetime))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        address, now = "127.0.0.1", datetime.now(UTC).timestamp()
        port = listener.getsockname()[1]
        return endpoint(host="", address=address, ca_file=str(own_ca.path), port=port, now=lambda: now)

    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(("days", "state"), [(100, "ok"), (20, "warn"), (3, "fail")])
def test_certificate_by_its_days(shown: Callable[..., Endpoint], days: int, state: str) -> None:
    result = certificate(shown(days + 0.5), 30, 7)
    assert (result.state, result.value.split(" (")[0]) == (state, f"trusted, {days} days left")
    assert ("certificates_renew_days=30" in result.remedy) == (state != "ok")


@pytest.mark.parametrize(("days", "state"), [(2, "ok"), (1.7, "warn"), (0.5, "fail")])
def test_a_short_certificate_by_its_lifetime(
    shown: Callable[..., Endpoint], tmp_path: Path, days: float, state: str
) -> None:
    """The VM renews a certificate of 6 days when 2 days are left."""
    served = shown(days, lifetime=6)
    served.source, served.ca_file = "acme", bundle(tmp_path, served.ca_file)
    result = certificate(served, 30, 7)
    assert result.state == state
    assert ("journalctl -u mlflow-acme" in result.remedy) == (state != "ok")


def bundle(folder: Path, directory_ca: str) -> str:
    """Return a file with another CA as the deployment's own, and the CA of the ACME directory."""
    (folder / "own").mkdir()
    own = CertificateAuthority(folder / "own")
    own.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MLflow CA")])
    path = own.save()
    path.write_text(path.read_text() + Path(directory_ca).read_text())
    return str(path)


def test_a_certificate_of_the_own_ca_in_place_of_the_acme_directory(shown: Callable[..., Endpoint]) -> None:
    served = shown(300)
    served.source = "acme"
    result = certificate(served, 30, 7)
    assert result.state == "warn"
    assert result.value.endswith("signed by the deployment's own CA, not by the ACME directory")
    assert "journalctl -u mlflow-acme" in result.remedy


def test_the_certificates_of_these_tests_pass_strict_verification(own_ca: CertificateAuthority) -> None:
    chain = own_ca.chain(100).read_text()
    handshake(certificates(chain), chain, own_ca.path.read_text(), "127.0.0.1")


def test_certificate_that_strict_clients_refuse(shown: Callable[..., Endpoint]) -> None:
    """With an older Python the doctor accepted a certificate that clients with Python 3.13 refuse."""
    result = certificate(shown(100.5, identifiers=False), 30, 7)
    assert result.state == "warn"
    assert result.value.startswith("trusted, 100 days left")
    assert "clients with Python 3.13 refuse the certificate: Missing Authority Key Identifier" in result.value
    assert "site.yml" in result.remedy
    assert certificate(shown(3, identifiers=False), 30, 7).state == "fail"


def test_ca_that_strict_clients_refuse(own_ca: CertificateAuthority) -> None:
    result = ca(str(own_ca.save(identifiers=False)), datetime.now(UTC).timestamp(), 180, 30)
    assert (result.state, result.value.rpartition("; ")[2]) == (
        "warn",
        "clients with Python 3.13 refuse the certificate: missing Key Usage keyCertSign, Subject Key Identifier",
    )
    assert "create a new CA" in result.remedy


def test_an_expired_certificate(shown: Callable[..., Endpoint]) -> None:
    result = certificate(shown(-2.5), 30, 7)
    assert result.state == "fail"
    assert "clients refuse the certificate: certificate has expired (CN=127.0.0.1, -3 days left" in result.value
    assert "site.yml" in result.remedy


def test_certificate_of_another_ca(shown: Callable[..., Endpoint], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = CertificateAuthority(tmp_path / "other")
    reached = shown(100)
    reached.ca_file = str(other.save())
    result = certificate(reached, 30, 7)
    assert result.state == "fail"
    assert "clients refuse the certificate" in result.value


def test_a_given_certificate_is_checked_against_the_cas_of_the_host(
    shown: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificate and requests use the same CAs: those of the host, or the CA of the deployment if it has one."""
    reached = shown(100)
    bundle, reached.ca_file, reached.source = reached.ca_file, "", "files"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    result = certificate(reached, 30, 7)
    assert result.state == "fail"
    assert "clients refuse the certificate" in result.value
    assert "REQUESTS_CA_BUNDLE" in result.remedy
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert certificate(reached, 30, 7).state == "ok"
    assert endpoint().session.verify == bundle
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    assert certificate(reached, 30, 7).value.startswith("/none.pem cannot be read")
    reached.ca_file = bundle
    assert certificate(reached, 30, 7).state == "ok"
    assert endpoint(ca_file=bundle).session.verify == bundle


def test_certificate_for_another_address(shown: Callable[..., Endpoint]) -> None:
    result = certificate(shown(100, "127.0.0.9"), 30, 7)
    assert result.state == "fail"
    assert "IP address mismatch" in result.value


def test_certificate_of_a_server_that_is_gone(own_ca: CertificateAuthority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(NotCheckedError, match="no TLS connection"):
        certificate(endpoint(host="127.0.0.1", ca_file=str(own_ca.path), port=port), 30, 7)


def test_a_missing_ca_file(tmp_path: Path) -> None:
    path = str(tmp_path / "none.pem")
    assert certificate(endpoint(ca_file=path), 30, 7).state == "fail"
    result = ca(path, NOW, 180, 30)
    assert (result.state, "site.yml" in result.remedy) == ("fail", True)


@pytest.mark.parametrize(("days", "state"), [(3000, "ok"), (100, "warn"), (10, "fail")])
def test_ca_by_its_days(own_ca: CertificateAuthority, days: int, state: str) -> None:
    path = str(own_ca.save(days + 0.5))
    result = ca(path, datetime.now(UTC).timestamp(), 180, 30)
    assert (result.state, result.value.split(" (")[0]) == (state, f"{days} days left")


def test_no_ca_of_its_own() -> None:
    assert ca("", NOW, 180, 30).state == "ok"
