# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The result of a command of mlflowctl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflowctl

from tests.unit.harness import Play

# The module has no options of Google.
OWN: dict[str, Any] = {"project": None, "auth_kind": None, "access_token": None}


@pytest.fixture
def run(play: Play, tmp_path: Path) -> Any:
    def run(script: str, *command: str, **options: Any) -> dict[str, Any]:
        program = tmp_path / "mlflowctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return play(mlflowctl, command=list(command), program=str(program), **OWN, **options)

    return run


def test_the_document_is_the_result(run: Any) -> None:
    found = run("""echo note >&2; printf '{"command": "%s", "changed": true}' "$*" """, "rotate", "sessions")
    assert (found["changed"], found["rc"], found["stderr"]) == (True, 0, "note\n")
    assert found["result"] == {"command": "rotate sessions", "changed": True}


def test_without_a_word_about_changes_nothing_changed(run: Any) -> None:
    assert run("echo '{}'", "status")["changed"] is False
    assert run("true", "status")["result"] == {}


def test_a_failure_names_the_cause_and_keeps_the_document(run: Any) -> None:
    found = run("""echo first >&2; echo the cause >&2; echo '{"id": "7"}'; exit 5""", "cutover", "wait", fails=True)
    assert (found["failed"], found["msg"], found["rc"], found["result"]) == (True, "the cause", 5, {"id": "7"})
    assert run("exit 1", "status", fails=True)["msg"] == "mlflowctl ended with exit code 1"


def test_check_mode_runs_nothing(run: Any, tmp_path: Path) -> None:
    created = tmp_path / "created"
    script = f"touch {created}; echo '{{}}'"
    found = run(script, "cutover", "reload", check=True)
    assert (found["changed"], found["skipped"], found["result"]) == (False, True, {})
    found = run(script, "build", check=True, creates=str(created))
    assert (found["changed"], found["skipped"]) == (True, False)
    assert not created.exists()


def test_a_file_that_exists_is_not_created_again(run: Any, tmp_path: Path) -> None:
    assert run("exit 1", "build", creates=str(tmp_path)) == run("exit 1", "build", creates=str(tmp_path), check=True)


def test_the_standard_input_is_passed(run: Any) -> None:
    assert run("""printf '{"given": "%s"}' "$(cat)" """, "build", stdin="text")["result"] == {"given": "text"}


def test_a_vm_without_the_program(play: Play) -> None:
    found = play(mlflowctl, fails=True, command=["status"], program="/nowhere/mlflowctl", **OWN)
    assert (found["failed"], found["rc"], found["result"]) == (True, 127, {})
    assert "Run site.yml first" in found["msg"]
