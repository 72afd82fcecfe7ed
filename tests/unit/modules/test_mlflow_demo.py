# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's demo as a module: the arguments of its program, and the messages after a failure."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_demo

from tests.unit.harness import PROJECT, Cloud, Json, Play

PASSWORD = "the-password-of-the-test"
NOTHING = {"experiments": 0, "traces": 0, "runs": 0, "prompts": 0}
MADE = {"experiments": 1, "traces": 5, "runs": 2, "prompts": 3}


@pytest.fixture
def options(tmp_path: Path, cloud: Cloud) -> Json:
    path = f"v1/projects/{PROJECT}/secrets/mlflow-admin-password/versions/latest:access"
    cloud.get("secretmanager", path, {"payload": {"data": base64.b64encode(PASSWORD.encode()).decode()}})
    return {
        "name": "mlflow",
        "region": "europe-west1",
        "hostname": "mlflow.example.com",
        "username": "admin",
        "password_secret": "mlflow-admin-password",
        "python": sys.executable,
        "program": str(tmp_path / "demo.py"),
        "timeout": 90,
    }


def program(options: Json, answer: Json, last: str = "") -> None:
    """Write a program that prints its arguments as the version, and the given answer."""
    printed = f"import json, sys\nprint(json.dumps({answer!r} | {{'version': ' '.join(sys.argv[1:])}}))\n{last}\n"
    Path(options["program"]).write_text(printed)


def test_the_demo_has_less_time_than_the_module(play: Play, options: Json) -> None:
    program(options, {"rc": 0, "kept": False, "before": NOTHING, "made": MADE, "remaining": NOTHING})
    result = play(mlflow_demo, **options)
    assert result["version"] == "60.0"
    assert result["changed"] is False


def test_a_demo_that_fails_says_how_to_clean_up(play: Play, options: Json) -> None:
    answer = {"rc": 1, "output": "no room", "kept": False, "before": NOTHING, "made": MADE, "remaining": NOTHING}
    program(options, answer)
    result = play(mlflow_demo, **options, fails=True)
    assert result["msg"].startswith("mlflow demo ended with exit code 1: no room. ")
    assert "delete the experiment 'MLflow Demo'" in result["msg"]
    assert result["remaining"] == NOTHING
    assert PASSWORD not in json.dumps(result)


def test_a_program_that_breaks_says_how_to_clean_up(play: Play, options: Json) -> None:
    program(options, {}, "sys.exit('the server is gone')")
    result = play(mlflow_demo, **options, fails=True)
    assert "the server is gone. " in result["msg"]
    assert "delete the experiment 'MLflow Demo'" in result["msg"]
