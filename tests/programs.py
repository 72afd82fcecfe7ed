# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Linters, molecule's scenarios, tests that share nothing with others: programs that are a test each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

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
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as output:
            return subprocess.run(
                self.command, cwd=REPOSITORY, env=environment, check=False, stdout=output, stderr=subprocess.STDOUT
            ).returncode


class Background:
    """Where programs run while tests do."""

    def __init__(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        self._programs = tuple(programs)
        self._environment = environment
        self._pools: list[ThreadPoolExecutor] = []
        self._codes: dict[Program, Future[int]] = {}

    def start(self, *kinds: str, at_once: int = 1) -> None:
        """Have all of these kinds run, one kind after the other, beside those that were started before."""
        pool = ThreadPoolExecutor(at_once)
        self._pools.append(pool)
        for kind in kinds:
            for program in self._programs:
                if program.kind == kind and program not in self._codes:
                    self._codes[program] = pool.submit(program.run, self._environment)

    def waiting(self, kind: str) -> bool:
        """Whether there is a program of this kind that was not started."""
        return any(program.kind == kind and program not in self._codes for program in self._programs)

    def code(self, program: Program) -> int:
        """The exit code of one that was started; waits for it."""
        return self._codes[program].result()

    def close(self) -> None:
        """Wait for those that run; the others never will."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:
            pool.shutdown()


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
    """Tests of playbooks against local clouds that nobody else uses."""
    return _files("playbooks", "tests/localcloud/playbooks")


def _files(kind: str, folder: str) -> list[Program]:
    files = sorted(path.relative_to(REPOSITORY) for path in REPOSITORY.glob(f"{folder}/test_*.py"))
    return [Program(kind, path.stem, (sys.executable, "-m", "pytest", str(path))) for path in files]
