# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The state of the VM: an error in one part does not end the other parts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from mlflowctl import examine
from mlflowctl.system import System


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Return a VM whose files and programs are in a temporary directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "opt" / "mlflow").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path, "timedatectl", "echo yes")
    program(
        tmp_path,
        "systemctl",
        'case $1 in list-units) ;; show) echo ActiveState=active ;; *) printf "active\\nactive\\n" ;; esac',
    )
    return System(tmp_path)


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


def release(system: System) -> None:
    root = system.paths.root
    system.paths.wanted.symlink_to(install(root, "3.17.2"))


def test_a_vm_without_an_installation(system: System) -> None:
    found = examine.examine(system, ["/"])
    assert found["clock"]["synchronized"] is True
    assert found["disks"][0]["path"] == "/"
    assert 0 <= found["disks"][0]["used_percent"] <= 100
    assert "FileNotFoundError" in found["release"]["error"]
    assert found["switch"]["active"] is None
    assert set(found) == {"clock", "disks", "units", "switch", "release", "heads", "size", "encryption", "signed_urls"}


def test_release_and_packages(system: System) -> None:
    release(system)
    found = examine.release(system)
    assert found["version"] == "3.17.2"
    assert found["packages"] == {"mlflow": "3.17.2", "Flask": "3.1.0"}


@pytest.mark.parametrize(
    ("status", "version"),
    [
        ({"active": "blue", "slots": {"blue": {"release": "releases/3.16.0-x"}}}, "3.16.0"),
        ({"active": "blue", "slots": {"blue": {"release": "releases/removed"}}}, "3.17.2"),
        ({"active": None, "slots": {"blue": {"release": None}}}, "3.17.2"),
        ({}, "3.17.2"),
    ],
)
def test_the_active_release_is_reported(
    system: System, monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], version: str
) -> None:
    """After a failed cutover the active release is not the installed release."""
    release(system)
    install(system.paths.root, "3.16.0")
    told = json.loads(json.dumps(status).replace("releases/", f"{system.paths.root}/releases/"))
    monkeypatch.setattr(examine, "status", lambda _: told)
    assert examine.release(system)["version"] == version


def test_failed_units(system: System) -> None:
    failed = 'list-units) echo "a.service loaded failed failed A" ;;'
    script = f'case $1 in {failed} *) printf "failed\\nactive\\n"; exit 3 ;; esac'
    program(system.paths.root, "systemctl", script)
    assert examine.units() == {
        "failed": ["a.service"],
        "needed": {"mlflow.service": "failed", "nginx.service": "active"},
    }


def test_unsynchronized_time(system: System) -> None:
    program(system.paths.root, "timedatectl", "exit 1")
    assert examine.clock()["synchronized"] is None
    program(system.paths.root, "timedatectl", "echo no")
    assert examine.clock()["synchronized"] is False


def test_the_databases_are_read_by_jobs(system: System) -> None:
    program(system.paths.root, "systemd-run", 'for last; do :; done; printf "{\\"asked\\": \\"$last\\"}\\n"')
    found = examine.examine(system, ["/"])
    assert [found[part] for part in ("heads", "size", "encryption")] == [
        {"asked": "heads"},
        {"asked": "size"},
        {"asked": "check"},
    ]
    program(system.paths.root, "systemd-run", "echo the database does not answer >&2; exit 1")
    assert examine.examine(system, ["/"])["heads"] == {"error": "the database does not answer"}


def test_signed_urls(system: System) -> None:
    """The release's Python asks Google, because only it has the libraries."""
    release(system)
    assert examine.signed_urls(system) == {"used": False, "cause": ""}
    system.paths.configuration.mkdir(parents=True)
    (system.paths.configuration / "server.json").write_text('{"direct_transfers": {"minimum_bytes": 1}}')
    home = system.paths.wanted.resolve()
    (home / "bin").mkdir()
    program(home, "python", 'echo "{\\"cause\\": \\"$PYTHONPATH $*\\"}"')
    found = examine.signed_urls(system)
    assert found["used"] is True
    assert found["cause"].endswith("/server -P -m mlflow_gcp_server.signing")
