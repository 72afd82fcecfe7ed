# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Password verifiers of PostgreSQL, and certificates of servers."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
import uuid
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from localcloud.core import certificates
from localcloud.framework.service import Json

_ITERATIONS = 4096
_YEARS = datetime.timedelta(days=3650)


def verifier(password: str) -> str:
    """Return the SCRAM-SHA-256 verifier of a password, which PostgreSQL accepts instead of the password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{texts[0]}${texts[1]}:{texts[2]}"


def _prepared(password: str) -> bytes:
    """Apply SASLprep (RFC 4013) as PostgreSQL does: a forbidden password is used unchanged."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    forbidden = (
        stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
        stringprep.in_table_c9, stringprep.in_table_a1,
    )  # fmt: skip
    if not text or any(check(c) for c in text for check in forbidden):
        return password.encode()
    if any(stringprep.in_table_d1(c) for c in text):
        mixed = any(stringprep.in_table_d2(c) for c in text)
        if mixed or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            return password.encode()
    return text.encode()


@dataclass(frozen=True)
class Certificates:
    """An instance's own CA and server certificate, PEM, and the CA as the API shows it."""

    authority: Json
    certificate: str
    key: str


def issue(project: str, instance: str, self_link: str, now: datetime.datetime) -> Certificates:
    """Create a CA for one instance, and its server certificate (named `project:instance`)."""
    serial = str(uuid.uuid4())
    authority_key = rsa.generate_private_key(65537, 2048)
    common = "Google Cloud SQL Server CA"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.DN_QUALIFIER, serial),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Google, Inc"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )
    begin, end = now - datetime.timedelta(minutes=5), now + _YEARS
    issuer = certificates.Issuer(name, authority_key)
    authority = certificates.issue(name, authority_key.public_key(), issuer, begin, end, ca=True)
    key = rsa.generate_private_key(65537, 2048)
    # An X.509 common name has at most 64 characters. Google's instance names are shorter, so it need not cut them.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{project}:{instance}"[:64])])
    certificate = certificates.issue(subject, key.public_key(), issuer, begin, end, server=True)
    shown: Json = {
        "kind": "sql#sslCert",
        "instance": instance,
        "commonName": f"C=US,O=Google\\, Inc,CN={common},dnQualifier={serial}",
        "certSerialNumber": "0",
        "cert": certificates.certificate_pem(authority),
        "createTime": now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "expirationTime": end.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "selfLink": f"{self_link}/sslCerts/",
        "sha1Fingerprint": authority.fingerprint(hashes.SHA1()).hex(),  # noqa: S303
    }
    return Certificates(shown, certificates.certificate_pem(certificate), certificates.private_pem(key))
