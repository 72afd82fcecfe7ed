# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are a test each: linters, molecule's scenarios, tests that share nothing with other tests."""

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
    """molecule, lint, own or playbooks; also the directory of its log."""
    name: str
    command: tuple[str, ...]

    @property
    def log(self) -> Path:
        """Return the file of its complete output."""
        return REPOSITORY / "artifacts" / self.kind / f"{self.name}.log"

    def run(self, environment: Mapping[str, str]) -> int:
        """Run the program; return its exit code."""
        # Tests of a deployment run one after the other and take longest: run short programs at lower priority, and
        # linters at the lowest.
        niceness = {"own": "0", "lint": "19"}.get(self.kind, "5")
        command = ("nice", "-n", niceness, *self.command)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as output:
            return subprocess.run(
                command,
                cwd=REPOSITORY,
                env=environment,
                check=False,
                # Not shared: ssh makes its standard input non-blocking, which ansible-playbook refuses.
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode


class Background:
    """Runs programs in threads, in parallel to the tests."""

    def __init__(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._codes: dict[Program, Future[int]] = {program: Future() for program in programs}
        self._left = list(self._codes)
        self._taking = Lock()
        self._kinds: set[str] = set()
        self._rows: list[Thread] = []

    def start(self, *kinds: str, helps: bool = True) -> None:
        """Start a thread that runs programs of these kinds, then (`helps`) those of other started kinds."""
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
        """Return whether there is a program of this kind, but no thread for the kind."""
        return kind not in self._kinds and any(program.kind == kind for program in self._codes)

    def code(self, program: Program) -> int:
        """Wait for a program of a started kind; return its exit code."""
        assert program.kind in self._kinds, program
        return self._codes[program].result()

    def close(self) -> None:
        """Wait for running programs. Other programs do not start any more."""
        with self._taking:
            self._left.clear()
        for row in self._rows:
            row.join()


def linters() -> list[Program]:
    """Return the linters of `make lint`, in reverse order: the slowest linter is the last of that list."""
    listed = subprocess.run(["make", "-s", "lint-list"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [Program("lint", name, ("make", name)) for name in reversed(listed.stdout.split())]


def scenarios() -> list[Program]:
    """Return molecule's scenarios, the slowest first."""
    names = sorted((path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml")), reverse=True)
    return [Program("molecule", name, ("molecule", "test", "--scenario-name", name)) for name in names]


def own_deployments() -> list[Program]:
    """Return the end-to-end tests that do not use the common deployment."""
    return _files("own", "tests/e2e/own")


def playbook_tests() -> list[Program]:
    """Return the tests of playbooks with a local cloud of their own, the slowest first."""
    programs = _files("playbooks", "tests/localcloud/playbooks")
    return sorted(programs, key=lambda program: program.name != "test_killed")


def _files(kind: str, folder: str) -> list[Program]:
    files = sorted(path.relative_to(REPOSITORY) for path in REPOSITORY.glob(f"{folder}/test_*.py"))
    return [Program(kind, path.stem, (sys.executable, "-m", "pytest", str(path))) for path in files]
