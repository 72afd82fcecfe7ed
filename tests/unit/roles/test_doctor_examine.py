# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The examination program on the VM: an error in one part does not end the other parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.programs import ROLES, load

SCRIPT = ROLES / "doctor" / "files" / "examine.py"


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program on a VM whose files and programs are in a temporary directory."""
    module = load("doctor", "examine")
    for name, path in {"CURRENT": "current", "LIBEXEC": "libexec", "CONFIGURATION": "server.json"}.items():
        monkeypatch.setattr(module, name, tmp_path / path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "libexec").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path, "timedatectl", "echo yes")
    program(tmp_path, "systemctl", 'case $1 in list-units) ;; *) printf "active\\nactive\\n" ;; esac')
    return module


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def install(folder: Path, mlflow: str) -> Path:
    home = folder / "releases" / f"{mlflow}-x"
    site = home / "lib" / "python3.13" / "site-packages"
    for name, version in {"mlflow": mlflow, "Flask": "3.1.0"}.items():
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return home


def release(folder: Path) -> None:
    install(folder, "3.17.2")
    (folder / "current").symlink_to(folder / "releases" / "3.17.2-x")


def seen(examine: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["-", "/"])
    examine.main()
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_vm_without_an_installation(
    examine: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(examine, capsys, monkeypatch)
    assert found["clock"]["synchronized"] is True
    assert found["disks"][0]["path"] == "/"
    assert 0 <= found["disks"][0]["used_percent"] <= 100
    assert "FileNotFoundError" in found["release"]["error"]
    assert found["heads"]["error"].endswith("schema.py is missing")
    assert set(found) == {"clock", "disks", "units", "switch", "release", "heads", "size", "encryption"}


def test_release_and_packages(
    examine: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tmp_path)
    found = seen(examine, capsys, monkeypatch)
    assert found["release"]["version"] == "3.17.2"
    assert found["release"]["packages"] == {"mlflow": "3.17.2", "Flask": "3.1.0"}
    # Without slots the single unit is reported.
    assert found["switch"] == {"active": "mlflow", "slots": {"mlflow": {"version": "3.17.2", "running": True}}}


def test_status_of_the_slots(
    examine: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libexec" / "switch.py").write_text('import sys\nprint(\'{"active": "%s"}\' % sys.argv[1])\n')
    assert seen(examine, capsys, monkeypatch)["switch"] == {"active": "status"}
    (tmp_path / "libexec" / "switch.py").write_text("import sys\nsys.exit('the journal is torn')\n")
    assert seen(examine, capsys, monkeypatch)["switch"]["error"].endswith("status ended with 1: the journal is torn")


@pytest.mark.parametrize(
    ("status", "version"),
    [
        ({"active": "blue", "slots": {"blue": {"release": "releases/3.16.0-x"}}}, "3.16.0"),
        ({"active": "blue", "slots": {"blue": {"release": "releases/removed"}}}, "3.17.2"),
        ({"active": None, "slots": {"blue": {"release": None}}}, "3.17.2"),
        ({}, "3.17.2"),
        (None, "3.17.2"),
    ],
)
def test_the_active_release_is_reported(
    examine: ModuleType, tmp_path: Path, status: dict[str, Any] | None, version: str
) -> None:
    """After a failed cutover the active release is not the installed release."""
    release(tmp_path)
    install(tmp_path, "3.16.0")
    told = json.dumps(status).replace("releases/", f"{tmp_path}/releases/") if status is not None else "torn"
    (tmp_path / "libexec" / "switch.py").write_text(f"print({told!r})\n")
    assert examine.release()["version"] == version


def test_stored_secrets_are_counted_by_the_program_on_the_vm(examine: ModuleType, tmp_path: Path) -> None:
    """A VM that an earlier version of the role configured has no such program."""
    assert examine.guarded(examine.encryption)["error"].endswith("encryption.py is missing")
    (tmp_path / "libexec" / "encryption.py").write_text('import sys\nprint(\'{"asked": "%s"}\' % sys.argv[1])\n')
    assert examine.encryption() == {"asked": "check"}


def test_failed_units(examine: ModuleType, tmp_path: Path) -> None:
    failed = 'list-units) echo "a.service loaded failed failed A" ;;'
    script = f'case $1 in {failed} *) printf "failed\\nactive\\n"; exit 3 ;; esac'
    program(tmp_path, "systemctl", script)
    assert examine.units() == {
        "failed": ["a.service"],
        "needed": {"mlflow.service": "failed", "nginx.service": "active"},
    }


def test_unsynchronized_time(examine: ModuleType, tmp_path: Path) -> None:
    program(tmp_path, "timedatectl", "exit 1")
    assert examine.clock()["synchronized"] is None
    program(tmp_path, "timedatectl", "echo no")
    assert examine.clock()["synchronized"] is False


def test_the_schema_is_read_as_the_user_of_the_server(examine: ModuleType, tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / "libexec" / "schema.py").touch()
    (tmp_path / "server.json").write_text('{"auth_database": "people"}')
    program(tmp_path, "systemd-run", 'echo "a line of the journal"; printf "{\\"argv\\": \\"$*\\"}\\n"')
    argv = examine.schema("heads")["argv"].split()
    assert argv[-4:] == [
        str(tmp_path / "releases" / "3.17.2-x" / "bin" / "python"),
        "-I",
        str(tmp_path / "libexec" / "schema.py"),
        "heads",
    ]
    assert {"User=mlflow", "LoadCredential=mlflow.database-uri"} <= set(argv)
    assert "--setenv=MLFLOW_LAUNCH_AUTH_DATABASE=people" in argv


def test_runs_from_standard_input_on_plain_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-", "/"], input=SCRIPT.read_text(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["disks"][0]["path"] == "/"
