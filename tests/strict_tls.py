# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A TLS handshake like that of Python 3.13, where ssl.create_default_context sets VERIFY_X509_STRICT."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any

from cryptography import x509


def handshake(chain: str, key: str, authority: str, hostname: str = "") -> None:
    """Raise ssl.SSLError if a strict client refuses the server's chain (all PEM) or, if given, its host name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "chain.pem"), Path(folder, "key.pem")
        for file, text in zip(files, (chain, key), strict=True):
            file.write_text(text)
        server.load_cert_chain(*files)
    client = ssl.create_default_context(cadata=authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    client.check_hostname = bool(hostname)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(ours, theirs, server_hostname=hostname or None),
        server.wrap_bio(theirs, ours, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def certificates(pem: str) -> str:
    """Return the certificates of a file that may also contain a key."""
    mark = "-----BEGIN CERTIFICATE-----"
    return "".join(
        mark + part.partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        for part in pem.split(mark)[1:]
    )


def extended(made: x509.CertificateBuilder, key: Any, issuer: Any, *, ca: bool) -> x509.CertificateBuilder:
    """Return the builder with the extensions of RFC 5280, 4.2.1, for ``key``, signed by ``issuer``."""
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    none = dict.fromkeys((*others, "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **none)
    made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    made = made.add_extension(usage, critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return made.add_extension(issuers, critical=False)
