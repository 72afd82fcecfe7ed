# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: help of each command, exit codes, one JSON document, the units of jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflowctl import cli, job_unit, jobs, operations
from mlflowctl.errors import FailedError
from mlflowctl.system import PROGRAM, Paths

from tests.unit.roles.evaluated import ROLES


def commands(parser: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield all commands."""
    groups = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    if not groups:
        yield words
    for name, below in (groups[0].choices if groups else {}).items():
        yield from commands(below, (*words, name))


COMMANDS = sorted(commands(cli.parser()))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_a_help_text_with_the_exit_codes(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: mlflowctl {' '.join(words)} " in said
    assert "3  refused, nothing was changed" in said


def test_runs_on_plain_python() -> None:
    """As root, the program runs in Debian's Python without any package, from the directory that the link leads to."""
    done = subprocess.run([sys.executable, "-I", str(PROGRAM), "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    script = "import sys; sys.path[0] = sys.argv[1]; from mlflowctl import cli; print(*sorted(sys.modules))"
    imported = subprocess.run(
        [sys.executable, "-S", "-c", script, str(PROGRAM)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not {"sqlalchemy", "psycopg2", "mlflow", "alembic"} & set(imported)


def test_only_the_document_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def talk(_options: Any) -> tuple[Any, int]:
        print("output of MLflow")
        return {"changed": False}, 0

    monkeypatch.setattr(operations, "status", talk)
    assert cli.main(["status"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"changed": False}
    assert said.err == "output of MLflow\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (FailedError("no release. Run site.yml", 3), 3, "no release. Run site.yml"),
        (RuntimeError("no route\nto 10.0.0.3"), 1, "RuntimeError: no route"),
    ],
)
def test_the_last_line_of_the_messages_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int, told: str
) -> None:
    def fail(_options: Any) -> tuple[Any, int]:
        raise error

    monkeypatch.setattr(operations, "status", fail)
    assert cli.main(["status"]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[-1]) == ("", told)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return the paths of a VM with a desired release and an active slot with another release."""
    found = Paths(tmp_path)
    blue = found.slots / "blue"
    blue.mkdir(parents=True)
    (found.slots / "active").write_text("blue\n")
    (blue / "server.json").write_text('{"artifacts_destination": "/srv/artifacts", "auth_database": "people"}')
    for name in ("desired", "active"):
        (found.releases / name).mkdir(parents=True)
    found.wanted.symlink_to(found.releases / "desired")
    (blue / "release").symlink_to(found.releases / "active")
    found.link.parent.mkdir(parents=True)
    found.link.symlink_to("/run/mlflow-blue/mlflow.sock")
    monkeypatch.setattr(jobs, "Paths", lambda: found)
    return found


def started(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Run a job; return the command that starts its unit."""
    lines: list[list[str]] = []
    monkeypatch.setattr(job_unit, "run", lambda line: lines.append(line) or 7)
    assert cli.main(["run-job", *words]) == 7
    return lines[0]


def properties(line: list[str]) -> set[str]:
    return {word.removeprefix("--property=") for word in line if word.startswith("--property=")}


def test_a_job_runs_in_the_desired_release_with_its_credentials(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    line = started(monkeypatch, "--timeout", "60", "schema", "heads", "--database-host", "10.0.0.9")
    python = str(paths.releases / "desired" / "bin" / "python")
    assert line[line.index(python) :] == [python, "-I", str(PROGRAM), "schema", "heads", "--database-host", "10.0.0.9"]
    assert {"--wait", "--pipe"} <= set(line)
    loaded = {each for each in properties(line) if each.startswith("LoadCredential=")}
    assert loaded == {"LoadCredential=mlflow.database-uri", "LoadCredential=mlflow.database-ca"}
    assert {"User=mlflow", "RuntimeMaxSec=60"} <= properties(line)


def test_a_release_can_be_chosen(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/r/bin/python" in started(monkeypatch, "--release", "/r", "schema", "size")


def test_each_job_gets_only_its_credentials(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    found = properties(started(monkeypatch, "rotate", "administrator"))
    assert "LoadCredential=mlflow.admin-password" in found
    assert "LoadCredential=mlflow.crypto-kek-passphrase" not in found


def test_a_purge_runs_in_the_active_release_and_not_beside_other_operations(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = started(monkeypatch, "gc", "--older-than", "0d")
    assert str(paths.releases / "active" / "bin" / "python") in line
    expected = {"ReadWritePaths=/srv/artifacts", "PartOf=mlflow.service", "Requisite=mlflow.service"}
    assert expected <= properties(line)
    assert any(each.startswith("ExecCondition=+") and each.endswith(" idle --quiet") for each in properties(line))
    # The cutover stops all units of this name.
    assert any(word.startswith("--unit=mlflow-gc-") for word in line)


def test_stored_secrets_after_a_cutover(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    line = started(monkeypatch, "--after-cutover", "stored-secrets", "reencrypt")
    assert not {"--wait", "--pipe"} & set(line)
    assert line[-2:] == ["--cutover-from", "/run/mlflow-blue/mlflow.sock"]


def test_an_unknown_job_is_refused(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run-job", "status"]) == 2
    assert "no job is named 'status'" in capsys.readouterr().err


def test_the_sandbox_is_the_one_of_the_server() -> None:
    """molecule measures the sandbox of the server with systemd-analyze."""
    unit = (ROLES / "mlflow" / "templates" / "mlflow@.service.j2").read_text().splitlines()
    own = {"UMask=0077", "RuntimeDirectoryMode=0700", "TimeoutStopSec=90"}
    assert set(job_unit.SANDBOX) - set(unit) == own
    sandbox = unit[unit.index("# Sandbox") + 1 :]
    server = {"TemporaryFileSystem=/dev/shm:rw,nosuid,nodev,size=256M,mode=1777", "SystemCallFilter=@chown"}
    assert {line for line in sandbox if line and not line.startswith("#")} - set(job_unit.SANDBOX) == server
