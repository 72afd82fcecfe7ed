# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program that installs a new server certificate on the VM, with scripted nginx and systemctl."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
import trustme

from tests.unit.roles.programs import load

CA = trustme.CA()


def pair(name: str = "mlflow.example.com") -> bytes:
    issued = CA.issue_cert(name)
    return issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()


OLD, NEW = pair(), pair()


class Vm:
    """The files of the program, and programs that note their calls. nginx may refuse its configuration."""

    def __init__(self, program: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program, self.folder = program, folder
        self.source, self.target, self.loaded = (folder / name for name in ("new.pem", "nginx.certificate", "loaded"))
        self.source.write_bytes(NEW)
        self.target.write_bytes(OLD)
        self.loaded.touch()
        self._calls = folder / "calls"
        for name in ("nginx", "systemctl"):
            path = folder / name
            path.write_text(
                f'#!/bin/sh\necho "{name} $*" >>{self._calls}\nexit $(cat {folder}/{name}.code 2>/dev/null || echo 0)\n'
            )
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def run(self) -> int:
        self._calls.unlink(missing_ok=True)
        places = {"source": self.source, "target": self.target, "loaded": self.loaded}
        code: int = self.program.main([f"--{name}={path}" for name, path in places.items()])
        return code

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vm:
    return Vm(load("acme", "install"), tmp_path, monkeypatch)


RELOADED = ["nginx -t -q", "systemctl try-reload-or-restart nginx.service"]


def test_nginx_loads_a_new_certificate_once(vm: Vm) -> None:
    assert vm.run() == 0
    assert vm.calls == RELOADED
    assert (vm.target.read_bytes(), vm.target.stat().st_mode & 0o777) == (NEW, 0o600)
    os.utime(vm.loaded, ns=(vm.target.stat().st_mtime_ns + 1,) * 2)
    assert vm.run() == 0
    assert vm.calls == []


def test_after_a_crash_before_the_reload_the_next_run_reloads(vm: Vm) -> None:
    vm.target.write_bytes(NEW)
    os.utime(vm.loaded, ns=(vm.target.stat().st_mtime_ns - 1,) * 2)
    assert vm.run() == 0
    assert vm.calls == RELOADED


def test_nginx_refuses_its_configuration(vm: Vm, capsys: pytest.CaptureFixture[str]) -> None:
    (vm.folder / "nginx.code").write_text("1")
    assert vm.run() == 1
    assert vm.calls == RELOADED[:1]
    assert vm.target.read_bytes() == OLD
    said = capsys.readouterr().err
    assert "Cannot install the new certificate: nginx -t -q failed" in said
    assert "nginx keeps the certificate that it has loaded" in said


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(NEW[: len(NEW) // 2], id="half a file"),
        pytest.param(OLD[: OLD.index(b"-----BEGIN CERT")] + NEW[NEW.index(b"-----BEGIN CERT") :], id="another key"),
        pytest.param(b"", id="empty"),
        pytest.param(b" " * 70_000, id="too large"),
    ],
)
def test_an_unusable_pair_never_replaces_the_old_one(
    vm: Vm, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    vm.source.write_bytes(content)
    assert vm.run() == 1
    assert vm.target.read_bytes() == OLD
    assert vm.calls == []
    assert [path.name for path in vm.folder.glob(".*")] == []
    assert "PRIVATE" not in capsys.readouterr().err


def test_a_link_is_not_followed(vm: Vm) -> None:
    """The file belongs to an unprivileged user."""
    vm.source.rename(vm.folder / "elsewhere.pem")
    vm.source.symlink_to(vm.folder / "elsewhere.pem")
    assert vm.run() == 1
    assert vm.target.read_bytes() == OLD
