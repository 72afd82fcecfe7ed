# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The build of a release, with scripted programs."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from mlflowctl import build, cli, operations
from mlflowctl.errors import FailedError
from mlflowctl.system import System

NAME, VERSION = "3.17.2-0123456789ab", "3.17.2"


class QuickSystem(System):
    """A VM without waiting."""

    def sleep(self, seconds: float) -> None:
        return


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Return a VM with fake programs, which write their arguments to the file `calls`."""
    found = QuickSystem(tmp_path)
    found.paths.releases.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path, "runuser", f"echo mlflow, version {VERSION}")
    program(tmp_path, "systemctl", "")
    program(tmp_path, "pip", "")
    program(tmp_path, "python3", f"mkdir -p $3/bin && cp {tmp_path}/bin/pip $3/bin/python")
    monkeypatch.setattr(operations, "System", lambda: found)
    return found


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >> {folder}/calls\n{script}\n')
    path.chmod(0o755)


def calls(system: System) -> list[str]:
    path = system.paths.root / "calls"
    return path.read_text().splitlines() if path.exists() else []


def release(system: System, *arguments: str) -> build.Release:
    return build.Release(NAME, VERSION, str(system.paths.root / "bin" / "python3"), arguments)


def test_packages_are_installed_with_hashes_and_the_release_is_marked_last(system: System) -> None:
    build.here(system, release(system, "--index-url", "https://index.example"), build.Locks("mlflow==3.17.2\n"))
    directory = system.paths.releases / NAME
    venv, pip, compiled, version = calls(system)
    assert venv == f"python3 -m venv {directory}"
    assert "--require-hashes --no-deps --only-binary :all:" in pip
    assert pip.endswith(f"--requirement {directory}/requirements.txt --index-url https://index.example")
    assert "compileall" in compiled
    assert version == f"runuser -u mlflow -- {directory}/bin/mlflow --version"
    assert (directory / "requirements.txt").read_text() == "mlflow==3.17.2\n"
    assert (directory / ".complete").read_text() == "3.17.2\n"


def test_packages_of_the_user_are_installed_instead_of_the_lock_and_checked(system: System) -> None:
    """The record of an upgrade reads requirements.txt, which must be the lock of MLflow's release alone."""
    build.here(system, release(system), build.Locks("mlflow==3.17.2\n", "mlflow==3.17.2\nown==1\n"))
    directory = system.paths.releases / NAME
    installed = [line for line in calls(system) if line.startswith("python -m pip")]
    assert [line.split()[3] for line in installed] == ["install", "check"]
    assert f"--requirement {directory}/packages.txt" in installed[0]
    assert (directory / "requirements.txt").read_text() == "mlflow==3.17.2\n"
    assert (directory / "packages.txt").read_text() == "mlflow==3.17.2\nown==1\n"


def test_packages_that_do_not_fit_the_release_are_refused_before_a_cutover(system: System) -> None:
    program(system.paths.root, "pip", '[ "$3" = install ] || { echo own 1 requires other; exit 1; }')
    with pytest.raises(FailedError, match=r"do not fit the release: own 1 requires other Lock them again"):
        build.here(system, release(system), build.Locks("a==1", "a==1\nown==1"))
    assert not (system.paths.releases / NAME / ".complete").exists()


def test_another_input_is_refused() -> None:
    with pytest.raises(FailedError, match="not a JSON object with requirements and packages"):
        build.Locks.parse("mlflow==3.17.2")


def test_another_version_is_refused(system: System) -> None:
    program(system.paths.root, "runuser", "echo mlflow, version 3.16.0")
    with pytest.raises(FailedError, match=r"version 3\.16\.0 instead of 3\.17\.2"):
        build.here(system, release(system), build.Locks(""))
    assert not (system.paths.releases / NAME / ".complete").exists()


@pytest.mark.parametrize(
    ("told", "attempts"),
    [("ERROR: HTTP 503", build.PIP_ATTEMPTS), ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", 1)],
)
def test_a_package_index_may_fail_but_a_hash_may_not(system: System, told: str, attempts: int) -> None:
    program(system.paths.root, "pip", f"echo first; echo '{told}' >&2; echo more >&2; exit 1")
    with pytest.raises(FailedError, match=f"-m pip install failed: {told}"):
        build.here(system, release(system), build.Locks(""))
    assert len([line for line in calls(system) if " pip install " in line]) == attempts


def test_the_last_lines_are_the_cause_without_an_error_of_pip() -> None:
    assert build.cause("a\nb\nc\nd\n") == "b c d"
    assert build.cause("ERROR: first\nmuch\nERROR: second\nERROR: third") == "ERROR: first ERROR: second"


def test_a_new_build_stops_the_build_of_an_interrupted_run(
    system: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (system.paths.releases / NAME / "lib").mkdir(parents=True)
    program(system.paths.root, "systemd-run", "cat >/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"requirements": "mlflow==3.17.2", "packages": ""}'))
    assert cli.main(["build", "--pip-argument=--pre", NAME, VERSION]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    stop, start = calls(system)
    assert stop == "systemctl stop mlflow-build.service"
    assert not (system.paths.releases / NAME).exists()
    assert "--setenv=PIP_INDEX_URL=https://index.example" in start
    assert start.endswith(f" build --here --python /usr/bin/python3 --pip-argument=--pre {NAME} {VERSION}")


def test_the_cause_in_the_unit_is_the_message(system: System) -> None:
    program(system.paths.root, "systemd-run", "cat >/dev/null; echo note >&2; echo pip failed: disk full >&2; exit 1")
    with pytest.raises(FailedError, match=r"^pip failed: disk full$"):
        build.in_unit(system, release(system), build.Locks(""))


def test_a_complete_release_is_not_built_again(system: System) -> None:
    (system.paths.releases / NAME).mkdir()
    (system.paths.releases / NAME / ".complete").touch()
    assert build.in_unit(system, release(system), build.Locks(""))["changed"] is False
    assert calls(system) == []


@pytest.mark.parametrize(("state", "runs"), [("active", True), ("inactive", False), ("failed", False)])
def test_a_running_build_is_found(system: System, state: str, runs: bool) -> None:
    program(system.paths.root, "systemctl", f"echo {state}")
    assert build.running(system) is runs
