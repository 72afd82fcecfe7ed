# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The local cloud's certificate authority (CA): created on first use, trusted by VMs from their first boot."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import trustme

_NAME = "mlflow-localcloud"
_BEFORE = datetime.timedelta(days=1)
_VALIDITY = datetime.timedelta(days=825)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, both PEM."""

    certificate: str
    key: str


class Authority:
    """A CA in a directory (``ca.crt``, ``ca.key``)."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = directory / "ca.crt"
        """The path of the CA certificate."""
        key = directory / "ca.key"
        if not (self.path.exists() and key.exists()):
            made = trustme.CA(path_length=0, organization_name=_NAME, organization_unit_name="authority")
            _write(key, made.private_key_pem.bytes(), 0o600)
            _write(self.path, made.cert_pem.bytes(), 0o644)
        self._ca = trustme.CA.from_pem(self.path.read_bytes(), key.read_bytes())

    def issue(self, name: str, *names: str) -> Issued:
        """Issue a server certificate for DNS names and IP addresses; ``name`` is its common name."""
        now = datetime.datetime.now(datetime.UTC)
        made = self._ca.issue_cert(
            *names,
            common_name=name[:64],  # the limit of X.509
            organization_name=_NAME,
            organization_unit_name="server",
            not_before=now - _BEFORE,
            not_after=now + _VALIDITY,
        )
        return Issued(made.cert_chain_pems[0].bytes().decode(), made.private_key_pem.bytes().decode())


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    temporary.replace(path)
