# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the deployment's own CA must issue the server certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_reissue
short_description: Whether the deployment's own CA must issue the server certificate
version_added: 0.1.0
description:
  - Returns the reason, or an empty string if the stored certificate stays.
  - If an ACME directory is the source, any stored certificate that covers the host name stays until the VM has replaced
    it, also one with further names or a wildcard. The VM renews the certificate of the directory.
options:
  _input:
    description: The stored certificate with its key in PEM form, or none.
    type: str
    required: true
  authority:
    description: The certificate of the own CA in PEM form.
    type: str
    required: true
  endpoint:
    description: Host name or address of the server.
    type: str
    required: true
  source:
    description: Source of the server certificate, V(ca) or V(acme).
    type: str
    required: true
  renew_days:
    description: Days before its end from which a certificate of the own CA is renewed.
    type: int
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show why the server certificate is issued
  ansible.builtin.debug:
    # there is no certificate
    msg: >-
      {{ '' | mlops.mlflow_gcp.certificate_reissue(authority='', endpoint='192.0.2.7', source='ca', renew_days=30) }}
"""

RETURN = r"""
_value:
  description: The reason, empty if the stored certificate stays.
  type: str
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# A dependency of the control node. The import test of ansible-test runs without it.
with contextlib.suppress(ImportError):
    from cryptography import x509

BEGIN = "-----BEGIN CERTIFICATE-----"


def certificate_reissue(stored: str | None, *, authority: str, endpoint: str, source: str, renew_days: int) -> str:
    """Return why the own CA must issue the certificate, empty if the stored certificate stays."""
    if not stored or BEGIN not in stored:
        return "there is no certificate"
    found = _first(stored)
    names, name = _names(found), endpoint.lower()
    if not (_covered(name, names) if source == "acme" else names == [name]):
        return f"the certificate is for {', '.join(names)}"
    if BEGIN not in authority or not _issued(found, _first(authority)):
        return "" if source == "acme" else "another certificate authority has issued the certificate"
    left = found.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(days=int(renew_days)):
        return f"the certificate ends in {left.days} days"
    return ""


def _first(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem[pem.index(BEGIN) :].encode())


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)] + [str(each) for each in addresses]


def _covered(name: str, names: list[str]) -> bool:
    """Return whether the names contain the name, or the wildcard of its parent."""
    return name in names or f"*.{name.partition('.')[2]}" in names


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether the CA with this key has issued the certificate, and the certificate names the key.

    Clients with Python 3.13 refuse a certificate without an Authority Key Identifier.
    """
    try:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return False
    return key == own


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"certificate_reissue": certificate_reissue}
