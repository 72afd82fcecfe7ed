# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The CA certificates of clients while an ACME directory is the source of the certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.trust_bundle import trust_bundle


def test_a_private_ca_replaces_the_public_ones() -> None:
    assert trust_bundle("own\n", given="private") == "own\nprivate\n"


def test_the_ca_certificates_of_the_control_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE may be a file, or a directory with hashed names."""
    for name, text in (("a.pem", "a\n"), ("1234abcd.0", "a\n"), ("1234abcd.1", "b\n"), ("README", "no certificate")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "a.pem"))
    assert trust_bundle("own\n", given="") == "own\na\n"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert trust_bundle("own\n", given="") == "own\na\nb\n"
