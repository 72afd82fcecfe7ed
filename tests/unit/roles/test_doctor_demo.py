# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program that runs the demo of MLflow deletes the objects of the demo, even after an error, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.programs import load

NOTHING = {"experiments": 0, "traces": 0, "runs": 0, "prompts": 0}
MADE = {"experiments": 1, "traces": 5, "runs": 2, "prompts": 3}


class Server:
    """A server with the objects of the demo. `mlflow demo` is a script."""

    def __init__(self, program: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program, self.python, self.monkeypatch = program, folder / "python", monkeypatch
        self.there, self.deleted = dict(NOTHING), False
        self.fills("exit 0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
        monkeypatch.setattr(sys, "executable", str(self.python))
        monkeypatch.setattr(program, "found", self.found)
        monkeypatch.setattr(program, "delete_demo", self.delete_demo)

    def fills(self, script: str) -> None:
        self.python.write_text(f"#!/bin/sh\n{script}\n")
        self.python.chmod(0o755)

    def found(self, _client: Any) -> dict[str, int]:
        seen, self.there = self.there, dict(NOTHING) if self.deleted else dict(MADE)
        return seen

    def delete_demo(self, _client: Any) -> None:
        self.deleted, self.there = True, dict(NOTHING)

    def run(self, *arguments: str) -> None:
        self.monkeypatch.setattr(sys, "argv", ["demo.py", *arguments])
        self.program.main()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    # The import of MLflow takes seconds, and these tests do not need it.
    names = {
        "mlflow": {"MlflowClient": object, "__version__": "3.17.2"},
        "mlflow.demo": {"DEMO_EXPERIMENT_NAME": "", "DEMO_PROMPT_PREFIX": "", "demo_registry": None},
        "mlflow.entities": {"ViewType": None},
    }
    for name, contents in names.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    return Server(load("doctor", "demo"), tmp_path, monkeypatch)


def test_a_demo_is_read_back_and_deleted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.run("60")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["rc"], answer["kept"]) == (0, False)
    assert [answer[name] for name in ("before", "made", "remaining")] == [NOTHING, MADE, NOTHING]


def test_a_demo_that_exceeds_its_timeout_is_deleted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.fills("echo begun; exec sleep 60")
    server.run("3")
    answer = json.loads(capsys.readouterr().out)
    assert answer["rc"] == 124
    assert answer["output"] == "begun\n\nstopped after 3 s"
    assert server.deleted


def test_a_demo_that_cannot_be_read_back_is_deleted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([dict(NOTHING)])
    monkeypatch.setattr(server.program, "found", lambda _client: next(answers))
    with pytest.raises(StopIteration):
        server.run("60")
    assert server.deleted


@pytest.mark.parametrize(("there", "arguments"), [(NOTHING, ["keep"]), (MADE, [])])
def test_requested_or_earlier_objects_are_kept(
    server: Server, capsys: pytest.CaptureFixture[str], there: dict[str, int], arguments: list[str]
) -> None:
    server.there = there
    server.fills("exit 3")
    server.run("60", *arguments)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["rc"], answer["kept"], "remaining" in answer) == (3, True, False)
    assert not server.deleted
