# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of the module with a fake program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_cutover

from tests.unit.harness import Play

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}
STATUS = {
    "active": "blue",
    "slots": {"blue": {"release": "/new", "version": "3.18.0"}},
    "previous": {"id": "x", "release": "/old", "version": "3.17.2", "migrated": False},
    "result": None,
}


@pytest.fixture
def run(play: Play, tmp_path: Path) -> Any:
    program = tmp_path / "mlflowctl"
    status = json.dumps(STATUS)
    rollback = f"""touch {tmp_path}/changed; echo '{{"held_seconds": 1.5}}'"""
    program.write_text(f"#!/bin/sh\ncase $1 in status) echo '{status}' ;; cutover) {rollback} ;; esac\n")
    program.chmod(0o755)
    return lambda **options: play(mlflow_cutover, program=str(program), **OWN, **options)


def test_a_plan(run: Any) -> None:
    found = run(action="plan_rollback", check=True)
    assert (found["changed"], found["previous"]["version"]) == (False, "3.17.2")
    assert found["consequences"][0] == "MLflow 3.18.0 → 3.17.2"


def test_a_rollback(run: Any, tmp_path: Path) -> None:
    assert run(action="rollback", check=True)["changed"] is True
    assert not (tmp_path / "changed").exists()
    assert run(action="rollback")["result"] == {"held_seconds": 1.5}


def test_a_failure_is_explained(run: Any) -> None:
    failure = {
        "version_before": "3.18.0",
        "version": "3.19.0",
        "step": "Build the release",
        "task_message": "disk full",
    }
    told = run(action="explain", failure=failure)["message"]
    assert told.startswith('The upgrade from MLflow 3.18.0 to 3.19.0 failed at "Build the release": disk full. MLflow')
    assert "failure" in run(action="explain", fails=True)["msg"]


def test_a_vm_without_the_program(play: Play) -> None:
    found = play(mlflow_cutover, fails=True, action="plan_rollback", program="/nowhere", **OWN)
    assert "Run site.yml first" in found["msg"]
