# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The result of the program that fetches secrets on the VM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_credentials

from tests.unit.harness import Play

# The module has no options of Google but `project`.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}
SCRIPT = """
import json, sys
given = sys.stdin.read() if "/dev/stdin" in sys.argv else ""
if "fail" in given:
    sys.exit("trying again\\nCannot fetch the secrets: HTTP 403")
print(json.dumps({"changed": [*sys.argv[1:], given] if given or "--dry-run" in sys.argv else []}))
"""


@pytest.fixture
def run(play: Play, tmp_path: Path) -> Any:
    program = tmp_path / "fetch.py"
    program.write_text(SCRIPT)

    def run(**options: Any) -> dict[str, Any]:
        return play(mlflow_credentials, program=str(program), **{**OWN, **options})

    return run


def test_nothing_changed(run: Any) -> None:
    found = run()
    assert (found["changed"], found["credentials"], found["installed"]) == (False, [], True)


def test_items_are_passed_through_standard_input(run: Any) -> None:
    item = {"name": "mlflow.database-uri", "secret": "database-uri", "version": 3}
    found = run(project="my-project", items=[item])
    assert found["changed"] is True
    assert found["credentials"][:4] == ["--timeout", "120", "--config", "/dev/stdin"]
    assert json.loads(found["credentials"][4]) == {"project": "my-project", "items": [item | {"version": "3"}]}


def test_check_mode_only_compares(run: Any) -> None:
    assert "--dry-run" in run(check=True)["credentials"]


def test_a_failure_names_the_cause(run: Any) -> None:
    found = run(fails=True, project="fail", items=[])
    assert found["msg"] == "Cannot fetch the secrets: HTTP 403"


def test_in_check_mode_the_program_may_be_missing(play: Play) -> None:
    found = play(mlflow_credentials, check=True, program="/nowhere/fetch.py", **OWN)
    assert (found["changed"], found["installed"]) == (True, False)
    assert "Run site.yml" in play(mlflow_credentials, fails=True, program="/nowhere/fetch.py", **OWN)["msg"]
