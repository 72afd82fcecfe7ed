# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates that Google's answers contain, with the names and the validity that Google gives them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

_OTHER_USAGES = ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")


@dataclass(frozen=True)
class Issuer:
    """A CA: its name and its key."""

    name: x509.Name
    key: rsa.RSAPrivateKey


def issue(
    subject: x509.Name,
    key: rsa.RSAPublicKey,
    issuer: Issuer,
    begin: datetime.datetime,
    end: datetime.datetime,
    *,
    ca: bool = False,
    server: bool = False,
) -> x509.Certificate:
    """Return a certificate with the extensions of RFC 5280, 4.2.1, which strict clients require.

    With `ca` it is a CA's certificate, with `server` a TLS server's. It is self-signed if the issuer has the same
    name and key.
    """
    usage = x509.KeyUsage(
        digital_signature=not ca, key_encipherment=server, key_cert_sign=ca, crl_sign=ca,
        **dict.fromkeys(_OTHER_USAGES, False),
    )  # fmt: skip
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(identifier, critical=False)
    )
    if server:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return PKCS#8 PEM without a passphrase, as in Google's key files."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key: rsa.RSAPublicKey) -> str:
    """Return SubjectPublicKeyInfo PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
