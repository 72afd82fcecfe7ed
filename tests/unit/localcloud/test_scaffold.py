# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud scaffold METHOD_ID` writes skeletons that fail until they are completed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.__main__ import main

REPOSITORY = Path(__file__).resolve().parents[3]


def scaffold(repository: Path, method: str) -> int:
    return main(["scaffold", method, "--repository", str(repository)])


def test_a_new_collection_gets_new_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scaffold(tmp_path, "compute.routes.list") == 0
    handlers = tmp_path / "localcloud/services/compute/routes.py"
    tests = tmp_path / "tests/localcloud/test_compute_routes.py"
    assert capsys.readouterr().out.split() == [str(handlers), str(tests)]
    text = handlers.read_text()
    assert '@api.method("compute.routes.list", permission="compute.routes.list")\ndef list_routes(call: Call)' in text
    assert "call.params: project; optional: filter, maxResults" in text
    assert "RouteList" in text
    assert 'raise NotImplementedError("compute.routes.list")' in text
    assert 'owner.call("GET", "/compute/v1/projects/mlflow-local/global/routes")' in tests.read_text()
    rules = ["--config", str(REPOSITORY / "pyproject.toml"), "--ignore", "S101"]
    subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", *rules, str(handlers), str(tests)], check=True)


def test_a_known_collection_keeps_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "localcloud/services/secretmanager"
    shutil.copytree(REPOSITORY / "localcloud/services/secretmanager", folder)
    before = (folder / "secrets.py").read_text()
    assert scaffold(tmp_path, "secretmanager.projects.locations.secrets.get") == 0
    assert (folder / "secrets.py").read_text().startswith(before.partition("\nfrom ")[0])
    added = ast.parse((folder / "secrets.py").read_text()).body[-1]
    assert isinstance(added, ast.FunctionDef)
    test = (tmp_path / "tests/localcloud/test_secretmanager_secrets.py").read_text()
    assert '"/secretmanager/v1/projects/mlflow-local/locations/NAME/secrets/NAME"' in test


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("compute.instances.get", "has a handler already"),
        (
            "compute.instances.fly",
            "no emulated API has the method compute.instances.fly. The emulated APIs are certificatemanager, cloudre",
        ),
    ],
)
def test_a_method_that_cannot_be_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, message: str
) -> None:
    assert scaffold(tmp_path, method) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
