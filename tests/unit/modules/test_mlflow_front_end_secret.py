# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The secret of the front end: created once, the same for MLflow and nginx, readable only by its owner."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_front_end_secret

from tests.unit.harness import Play

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}


class Vm:
    """The two files, and the module that writes them."""

    def __init__(self, play: Play, root: Path) -> None:
        self._play = play
        self.credential = root / "credstore" / "mlflow.front-end-secret"
        self.include = root / "nginx" / "mlflow-front-end-secret.conf"

    def run(self, *, check: bool = False, fails: bool = False) -> dict[str, Any]:
        """Run the module."""
        options = {"credential": str(self.credential), "include": str(self.include)}
        return self._play(mlflow_front_end_secret, check=check, fails=fails, **options, **OWN)

    @property
    def value(self) -> str:
        """Return the value of the credential."""
        return self.credential.read_text().strip()


@pytest.fixture
def vm(play: Play, tmp_path: Path) -> Vm:
    (tmp_path / "nginx").mkdir()
    return Vm(play, tmp_path)


def test_both_files_have_the_same_random_value(vm: Vm) -> None:
    before = os.umask(0)
    try:
        result = vm.run()
    finally:
        os.umask(before)
    assert result["changed"] is True
    assert result["paths"] == [str(vm.credential), str(vm.include)]
    assert re.fullmatch("[0-9a-f]{64}", vm.value)
    assert f"default {vm.value};" in vm.include.read_text()
    assert {path.stat().st_mode & 0o777 for path in (vm.credential, vm.include)} == {0o600}
    assert [path.name for path in vm.credential.parent.iterdir()] == [vm.credential.name]


def test_the_result_does_not_contain_the_value(vm: Vm) -> None:
    assert vm.run()["changed"]
    vm.include.unlink()
    result = vm.run()
    assert vm.value not in json.dumps(result)


def test_a_second_run_changes_nothing(vm: Vm) -> None:
    vm.run()
    value, written = vm.value, vm.include.stat().st_mtime_ns
    assert vm.run() == {"changed": False, "paths": [], "invocation": vm.run()["invocation"]}
    assert (vm.value, vm.include.stat().st_mtime_ns) == (value, written)


def test_check_mode_writes_nothing(vm: Vm) -> None:
    assert vm.run(check=True)["changed"] is True
    assert not vm.credential.parent.exists()
    assert not vm.include.exists()
    vm.run()
    assert vm.run(check=True)["changed"] is False


def test_the_credential_comes_before_the_installation_of_nginx(vm: Vm) -> None:
    vm.include.parent.rmdir()
    assert vm.run()["paths"] == [str(vm.credential)]
    value = vm.value
    vm.include.parent.mkdir()
    assert vm.run()["paths"] == [str(vm.include)]
    assert vm.value == value


@pytest.mark.parametrize("broken", ["", "short", "g" * 64, "a" * 63 + " b"])
def test_an_incomplete_value_is_replaced(vm: Vm, broken: str) -> None:
    vm.run()
    vm.credential.write_text(broken)
    assert vm.run()["paths"] == [str(vm.credential), str(vm.include)]
    assert vm.value in vm.include.read_text()


def test_other_contents_and_modes_are_repaired(vm: Vm) -> None:
    vm.run()
    value = vm.value
    vm.include.write_text('map "" $mlflow_front_end_secret { default other; }\n')
    vm.credential.chmod(0o644)
    assert vm.run()["paths"] == [str(vm.credential), str(vm.include)]
    assert vm.value == value
    assert value in vm.include.read_text()
    assert vm.credential.stat().st_mode & 0o777 == 0o600


def test_a_directory_in_the_place_of_a_file_is_an_error_with_its_path(vm: Vm) -> None:
    vm.include.mkdir()
    result = vm.run(fails=True)
    assert str(vm.include) in result["msg"]
