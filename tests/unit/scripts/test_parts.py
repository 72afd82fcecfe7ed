# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/parts.sh runs the parts of `make test` and reports their results. make, molecule and pytest are stubs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# Each stub records its start and its end, and fails if $FAILING is in its arguments.
STUB = """#!/bin/bash
echo "start $*" >>"$CALLS"
trap 'echo "interrupted $*" >>"$CALLS"; exit 2' INT
if [[ "$*" == *"$SLOW"* ]]; then for _ in {1..300}; do sleep 0.1; done; fi
seq 60
code=0
[[ "$*" != *"$FAILING"* ]] || code=1
"""
PYTEST = (
    STUB
    + """
if [ $code = 0 ]; then
  echo "===== 7 passed, 2 skipped, 1 warning in 125.30s (0:02:05) ====="
else
  echo "FAILED tests/x.py::test_y - assert 1"
  seq 60
  echo "===== 1 failed, 4 passed, 1 skipped, 1 error in 3.21s ====="
fi
echo "end $*" >>"$CALLS"
exit $code
"""
)
OTHER = STUB + 'echo "end $*" >>"$CALLS"\nexit $code\n'
ENGINE = "tests/localcloud/engine tests/localcloud/test_killed_process.py"
LANES = ("engine", "lint-yaml unit", "molecule-default", "--", "e2e", "e2e-upgrade")


class Parts:
    """A copy of the scripts, with stubs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in {"pytest": PYTEST, "make": OTHER, "molecule": OTHER}.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (folder / "calls").touch()

    def start(self, *lanes: str, failing: str = "nothing", slow: str = "nothing") -> subprocess.Popen[str]:
        environment = os.environ | {"CALLS": str(self.folder / "calls"), "FAILING": failing, "SLOW": slow}
        return subprocess.Popen(
            ["bash", "scripts/parts.sh", *lanes],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As a background job of a shell.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )

    def run(self, *lanes: str, failing: str = "nothing") -> tuple[int, str, str]:
        """Run lanes; return the exit code, the output and the messages."""
        process = self.start(*lanes, failing=failing)
        output, messages = process.communicate(timeout=60)
        return process.returncode, output, messages

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_the_last_line_sums_up_all_parts(parts: Parts) -> None:
    """A linter and a scenario count as one; each of the four pytest parts has seven passed tests."""
    assert parts.run(*LANES)[:2] == (0, "30 passed, 0 failed\n")
    ends = [parts.calls.index(f"end {name}") for name in (ENGINE, "tests/e2e/upgrade")]
    assert ends[0] < parts.calls.index("start tests/e2e/upgrade") < ends[1]
    assert ends[0] < parts.calls.index("start tests/e2e --ignore tests/e2e/upgrade --ignore tests/e2e/long")


def test_a_failed_part_is_reported_with_its_log(parts: Parts) -> None:
    code, output, messages = parts.run(*LANES, failing="tests/unit")
    assert (code, output) == (1, "27 passed, 2 failed\n")
    assert "unit: FAILED with exit code 1" in messages
    _, _, report = messages.partition("==> FAILED: unit")
    assert "FAILED tests/x.py::test_y" in report
    assert "1 failed, 4 passed" in report
    assert "Failed parts: unit\n" in report


@pytest.mark.parametrize("name", ["lint-yaml", "molecule-default"])
def test_a_failed_linter_or_scenario_counts_as_one(parts: Parts, name: str) -> None:
    code, output, messages = parts.run(*LANES, failing=name.removeprefix("molecule-"))
    assert (code, output) == (1, "29 passed, 1 failed\n")
    assert f"Failed parts: {name}\n" in messages


def test_an_error_without_a_summary_is_a_failure(parts: Parts) -> None:
    (parts.folder / ".venv" / "bin" / "pytest").write_text("#!/bin/sh\nexit 4\n")
    assert parts.run("unit")[:2] == (1, "0 passed, 1 failed\n")


def test_an_unknown_part_is_refused(parts: Parts) -> None:
    code, _, messages = parts.run("unit", "--", "nothing")
    assert (code, messages) == (1, "error: there is no part nothing\n")
    assert parts.calls == []


def test_an_interruption_ends_running_parts_and_starts_no_other(parts: Parts) -> None:
    process = parts.start(*LANES, slow="tests/localcloud/engine")
    deadline = time.monotonic() + 30
    while not {f"start {ENGINE}", "end tests/unit clients/python/tests --ignore tests/unit/roles"} <= {
        call.replace("-n auto --dist loadfile -m not(server) ", "") for call in parts.calls
    }:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"interrupted {ENGINE}" in parts.calls
    assert not [call for call in parts.calls if "e2e" in call]
    assert output.endswith(" failed\n")
    assert "e2e-upgrade did not end" in messages
