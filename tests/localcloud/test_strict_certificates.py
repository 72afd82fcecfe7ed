# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Clients with Python 3.13, which verify strictly, accept every certificate of the local cloud."""

from __future__ import annotations

import datetime
import pathlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.access import auth
from localcloud.core.certificates import private_pem
from localcloud.engine.authority import Authority
from localcloud.services.sqladmin import secrets as _secrets
from tests.strict_tls import handshake


@pytest.mark.parametrize("hostname", ["storage.googleapis.com", "192.0.2.7"])
def test_of_the_apis(tmp_path: pathlib.Path, hostname: str) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("a common name that is longer than the 64 characters that there may be", hostname)
    handshake(issued.certificate, issued.key, authority.path.read_text(), hostname)


def test_of_a_database() -> None:
    made = _secrets.issue("mlflow-local", "mlflow-database", "link", datetime.datetime.now(datetime.UTC))
    handshake(made.certificate, made.key, made.authority["cert"])


def test_of_a_service_account() -> None:
    key = rsa.generate_private_key(65537, 2048)
    certificate = auth.self_signed_certificate(key, "mlflow-server@mlflow-local.iam.gserviceaccount.com")
    handshake(certificate, private_pem(key), certificate)
    extensions = x509.load_pem_x509_certificate(certificate.encode()).extensions
    for kind in (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier, x509.KeyUsage):
        extensions.get_extension_for_class(kind)
