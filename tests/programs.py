# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Linters, molecule's scenarios, tests that share nothing with others: programs that are a test each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Program:
    """A program that is a test."""

    kind: str
    """molecule, lint, own or playbooks; also the folder of its log."""
    name: str
    command: tuple[str, ...]

    @property
    def log(self) -> Path:
        """Where its whole output is kept."""
        return REPOSITORY / "artifacts" / self.kind / f"{self.name}.log"

    def run(self, environment: Mapping[str, str]) -> int:
        """Run it to its end; its exit code."""
        # Tests of a deployment come one after the other and take longest; small pieces fill the time they leave.
        # Linters fill what is left even of that, beside tests of machines that would not bear more work.
        niceness = {"own": "0", "lint": "19"}.get(self.kind, "5")
        command = ("nice", "-n", niceness, *self.command)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as output:
            return subprocess.run(
                command,
                cwd=REPOSITORY,
                env=environment,
                check=False,
                # Each its own: ssh changes how what it shares with others is read, and ansible-playbook refuses that.
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode


class Background:
    """Where programs run while tests do."""

    def __init__(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._codes: dict[Program, Future[int]] = {program: Future() for program in programs}
        self._left = list(self._codes)
        self._taking = Lock()
        self._kinds: set[str] = set()
        self._rows: list[Thread] = []

    def start(self, *kinds: str, helps: bool = True) -> None:
        """Have one more row of programs run: these kinds, one after the other, then (`helps`) what others have left."""
        self._kinds.update(kinds)
        row = Thread(target=self._run, args=(kinds, helps))
        self._rows.append(row)
        row.start()

    def _run(self, kinds: Sequence[str], helps: bool) -> None:
        while program := self._take(kinds, helps):
            try:
                self._codes[program].set_result(program.run(self._environment))
            except OSError as error:
                self._codes[program].set_exception(error)

    def _take(self, kinds: Sequence[str], helps: bool) -> Program | None:
        with self._taking:
            order = [*kinds, *(self._kinds.difference(kinds) if helps else ())]
            mine = [each for kind in order for each in self._left if each.kind == kind]
            if not mine:
                return None
            self._left.remove(mine[0])
            return mine[0]

    def waiting(self, kind: str) -> bool:
        """Whether there is a program of this kind, and no row for it."""
        return kind not in self._kinds and any(program.kind == kind for program in self._codes)

    def code(self, program: Program) -> int:
        """The exit code of one that a row is there for; waits for it."""
        assert program.kind in self._kinds, program
        return self._codes[program].result()

    def close(self) -> None:
        """Wait for those that run; the others never will."""
        with self._taking:
            self._left.clear()
        for row in self._rows:
            row.join()


def linters() -> list[Program]:
    """Those of `make lint`. The slowest is the last of its list, so it comes first here."""
    listed = subprocess.run(["make", "-s", "lint-list"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [Program("lint", name, ("make", name)) for name in reversed(listed.stdout.split())]


def scenarios() -> list[Program]:
    """All of molecule's, the one that takes longest first."""
    names = sorted((path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml")), reverse=True)
    return [Program("molecule", name, ("molecule", "test", "--scenario-name", name)) for name in names]


def own_deployments() -> list[Program]:
    """End-to-end tests that do not use the common deployment."""
    return _files("own", "tests/e2e/own")


def playbook_tests() -> list[Program]:
    """Tests of playbooks against local clouds that nobody else uses, the one that takes longest first."""
    programs = _files("playbooks", "tests/localcloud/playbooks")
    return sorted(programs, key=lambda program: program.name != "test_killed")


def _files(kind: str, folder: str) -> list[Program]:
    files = sorted(path.relative_to(REPOSITORY) for path in REPOSITORY.glob(f"{folder}/test_*.py"))
    return [Program(kind, path.stem, (sys.executable, "-m", "pytest", str(path))) for path in files]
