# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Certificate files that nginx cannot load or that no client accepts are refused before the first change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.strict_tls import extended, handshake
from tests.unit.plugin_utils._validation.context import CONTEXT, values

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certificate(name: str, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime) -> x509.Certificate:
    """Return a certificate that the CA of these tests signed."""
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "authority"))
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return extended(made, key, OTHER, ca=name == "authority").sign(OTHER, SHA256())


def private(layout: PrivateFormat = PrivateFormat.PKCS8, encryption: KeySerializationEncryption | None = None) -> bytes:
    return KEY.private_bytes(Encoding.PEM, layout, encryption or NoEncryption())


PASSPHRASE = BestAvailableEncryption(b"correct-horse")
SERVER = certificate("server", KEY, NOW - DAY, NOW + DAY)
PEM = SERVER.public_bytes(Encoding.PEM)
# An expired CA certificate may stay in a chain, for old clients.
AUTHORITY = certificate("authority", OTHER, NOW - 2 * DAY, NOW - DAY).public_bytes(Encoding.PEM)
ENDED = certificate("server", KEY, NOW - 2 * DAY, NOW - DAY).public_bytes(Encoding.PEM)
LATER = certificate("server", KEY, NOW + DAY, NOW + 2 * DAY).public_bytes(Encoding.PEM)
FOREIGN = certificate("server", OTHER, NOW - DAY, NOW + DAY).public_bytes(Encoding.PEM)
# Chain, key and parts of the error message. Without parts the files are accepted.
CASES: dict[str, tuple[bytes, bytes, list[str]]] = {
    "good": (PEM + AUTHORITY, private(), []),
    "good, in the older form": (b"Bag Attributes\n" + PEM, private(PrivateFormat.TraditionalOpenSSL), []),
    "of another key": (
        FOREIGN + AUTHORITY,
        private(),
        [
            "nginx_certificate_key_file is '{key}'",
            "not the key of",
            "'{chain}' (nginx_certificate_file)",
            "Give a key and a certificate",
        ],
    ),
    "CA certificate first": (FOREIGN + PEM, private(), ["not the key of", "certificate of the server first"]),
    "passphrase": (
        PEM,
        private(encryption=PASSPHRASE),
        ["nginx_certificate_key_file is '{key}', which has a passphrase", "openssl pkey -in {key} -out"],
    ),
    "passphrase, in the older form": (
        PEM,
        private(PrivateFormat.TraditionalOpenSSL, PASSPHRASE),
        ["which has a passphrase"],
    ),
    "key in another form": (
        PEM,
        private(PrivateFormat.OpenSSH),
        ["nginx_certificate_key_file is '{key}', which is no private key in PEM form", "Give the key"],
    ),
    "no key": (PEM, PEM, ["no private key"]),
    "no certificate": (
        private(),
        private(),
        ["nginx_certificate_file is '{chain}', which is no chain", "it contains no certificate", "Give a file with"],
    ),
    "not in PEM form": (SERVER.public_bytes(Encoding.DER), private(), ["no chain of certificates in PEM form"]),
    "truncated": (PEM + AUTHORITY[:200], private(), ["number 2 cannot be read"]),
    "expired": (
        ENDED,
        private(),
        ["nginx_certificate_file is '{chain}'", f"to {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC", "that is valid now"],
    ),
    "not yet valid": (LATER, private(), [f"valid only from {NOW + DAY:%Y-%m-%d %H:%M:%S}"]),
}


def written(folder: Path, chain: bytes, key: bytes) -> tuple[str, str]:
    """Write the two files; return their paths."""
    paths = folder / "chain.pem", folder / "key.pem"
    for path, content in zip(paths, (chain, key), strict=True):
        path.write_bytes(content)
    return str(paths[0]), str(paths[1])


def test_the_certificate_of_these_tests_passes_strict_verification() -> None:
    authority = certificate("authority", OTHER, NOW - DAY, NOW + DAY).public_bytes(Encoding.PEM)
    handshake(PEM.decode(), private().decode(), authority.decode())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", ["nginx", "certificates"])
def test_certificate_files_are_refused_or_accepted(tmp_path: Path, role: str, case: str) -> None:
    chain, key = written(tmp_path, *CASES[case][:2])
    names = {"nginx": "nginx_certificate", "certificates": "certificates"}[role]
    given = {f"{names}_file": chain, f"{names}_key_file": key}
    if role == "nginx":
        given |= {"nginx_hostnames": ["a.example"], "nginx_certificate_source": "files"}
    found = refusals(role, values(role, **given), CONTEXT)
    words = CASES[case][2]
    assert bool(found) == bool(words), found
    for word in words:
        assert any(word.format(chain=chain, key=key).replace("nginx_certificate", names) in each for each in found)
    said = " ".join(found)
    for layout in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        # The first line contains the private part, or most of it.
        assert private(layout).decode().splitlines()[1] not in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"certificates_key_file": "/no/key.pem"}, "certificates_key_file is '/no/key.pem'. Give both, or neither"),
        (
            {"certificates_file": "/no/chain.pem", "certificates_key_file": __file__},
            "certificates_file is '/no/chain.pem', which is no file on the control node.",
        ),
        ({}, ""),
    ],
)
def test_both_files_or_none_must_exist(given: dict[str, str], message: str) -> None:
    found = refusals("certificates", values("certificates", **given), CONTEXT)
    assert message in " ".join(found)
    assert bool(found) == bool(message)
