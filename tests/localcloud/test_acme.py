# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The ACME directory of the local cloud (pebble), on the loopback interface."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from localcloud.__main__ import main
from localcloud.engine import acme
from localcloud.engine.authority import Authority
from localcloud.engine.base import EngineError
from localcloud.engine.nft_rules import Ports


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[acme.AcmeDirectory, Ports]]:
    management = ("127.0.0.1", free_port())
    monkeypatch.setattr(acme, "MANAGEMENT", management)
    ports = Ports("127.0.0.1", 1, free_port(), 3, free_port())
    made = acme.AcmeDirectory(Authority(home / "ca"), home / "acme", ports, management=management)
    made.start()
    yield made, ports
    made.stop()


def test_clients_of_the_cloud_trust_the_directory(
    directory: tuple[acme.AcmeDirectory, Ports], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _made, ports = directory
    context = ssl.create_default_context(cafile=str(home / "ca" / "ca.crt"))
    with urllib.request.urlopen(f"https://127.0.0.1:{ports.acme}/dir", context=context, timeout=10) as answer:
        assert "newOrder" in json.load(answer)
    assert main(["acme", "--home", str(home)]) == 0
    own, root = x509.load_pem_x509_certificates(capsys.readouterr().out.encode())
    assert own.subject.rfc4514_string().count("mlflow-localcloud") == 1
    assert "Pebble Root CA" in root.subject.rfc4514_string()


def test_a_directory_that_cannot_listen_names_the_cause(
    directory: tuple[acme.AcmeDirectory, Ports], home: Path
) -> None:
    _made, ports = directory
    other = ("127.0.0.1", free_port())
    second = acme.AcmeDirectory(Authority(home / "ca"), home / "second", ports, management=other)
    with pytest.raises(EngineError, match=f"127.0.0.1:{ports.acme}: Address already in use"):
        second.start()


def test_the_command_names_the_remedy_without_a_directory(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Authority(home / "ca")
    assert main(["acme", "--home", str(home)]) == 1
    assert "apt-get install pebble" in capsys.readouterr().err
