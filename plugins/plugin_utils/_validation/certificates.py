# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Certificate files that nginx cannot load or that no client accepts.

nginx would refuse a certificate after it replaced a working certificate.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

from . import _acme
from ._context import Context, Values

# A dependency of the control node. The import test of ansible-test runs without it.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

# Each match ends where the next block begins, so that a truncated certificate is a match too.
CERTIFICATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*CERTIFICATE-----.*?(?=-----BEGIN |\Z)", re.DOTALL)
# The OpenSSH form is PEM too, but nginx cannot load it.
OPENSSH = b"-----BEGIN OPENSSH"
TIME = "%Y-%m-%d %H:%M:%S"


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable of the role certificates."""
    if values["certificates_source"] == "acme":
        return _acme.refusals(values, context)
    names = ("certificates_file", "certificates_key_file")
    paths = {name: str(values[name] or "") for name in names}
    if values["certificates_source"] == "ca":
        return [
            f"certificates_source is ca, but {name} is '{path}'. Set certificates_source to files, or remove {name}."
            for name, path in paths.items()
            if path
        ]
    if not all(paths.values()):
        return [
            " and ".join(f"{name} is '{path}'" for name, path in paths.items())
            + ". Give both, or neither for a certificate of the deployment's own certificate authority."
        ]
    return pair(values, context, *names)


def pair(values: Values, context: Context, certificate: str, key: str) -> list[str]:
    """Return a message for each problem of a chain and its key. `certificate` and `key` name the role variables."""
    found: dict[str, Path] = {}
    missing = []
    for name in (certificate, key):
        path = context.find(str(values[name]))
        if path is None:
            missing.append(
                f"{name} is '{values[name]}', which is no file on the control node. Give the path of a PEM file."
            )
        else:
            found[name] = path
    if missing:
        return missing
    shown = f"{certificate} is '{values[certificate]}', which"
    chain, problem = _chain(found[certificate].read_bytes(), shown)
    public, wrong_key = _public_key(
        found[key].read_bytes(), f"{key} is '{values[key]}', which", str(values[key]), certificate
    )
    messages = [message for message in (problem, wrong_key) if message]
    if messages or not chain:
        return messages
    if public != chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        return [
            f"{key} is '{values[key]}', which is not the key of the first certificate in '{values[certificate]}'"
            f" ({certificate}). Give a key and a certificate that belong together, with the certificate of the server"
            " first in the file."
        ]
    return []


def _chain(content: bytes, shown: str) -> tuple[list[x509.Certificate], str]:
    """Return the certificates of a file and a message about them, empty if they are usable."""
    remedy = "Give a file with the certificate of the server, followed by the certificates of the intermediate CAs."
    chain: list[x509.Certificate] = []
    for number, block in enumerate(CERTIFICATE.findall(content), start=1):
        try:
            chain.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            return [], f"{shown} is no chain of certificates in PEM form: number {number} cannot be read. {remedy}"
    if not chain:
        return [], f"{shown} is no chain of certificates in PEM form: it contains no certificate. {remedy}"
    begin, end = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    if not begin <= datetime.now(UTC) <= end:
        return (
            [],
            f"{shown} is valid only from {begin:{TIME}} to {end:{TIME}} UTC. Give a certificate that is valid now.",
        )
    return chain, ""


def _public_key(content: bytes, shown: str, path: str, certificate: str) -> tuple[bytes, str]:
    """Return the public key of a private key and a message about the private key, empty if it is usable."""
    if b"ENCRYPTED" in content:
        return b"", (
            f"{shown} has a passphrase, but nginx starts without an operator. Remove the passphrase:"
            f" openssl pkey -in {path} -out FILE"
        )
    try:
        if OPENSSH in content:
            raise ValueError("OpenSSH form")
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        return b"", f"{shown} is no private key in PEM form. Give the key of the certificate in {certificate}."
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), ""
