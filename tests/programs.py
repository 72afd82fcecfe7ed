# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Linters and molecule's scenarios: programs that are a test each, as a person starts them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Program:
    """A program that is a test."""

    kind: str
    """molecule or lint; also the folder of its log."""
    name: str
    command: tuple[str, ...]

    @property
    def log(self) -> Path:
        """Where its whole output is kept."""
        return REPOSITORY / "artifacts" / self.kind / f"{self.name}.log"

    def run(self, environment: dict[str, str]) -> int:
        """Run it to its end; its exit code."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as output:
            return subprocess.run(
                self.command, cwd=REPOSITORY, env=environment, check=False, stdout=output, stderr=subprocess.STDOUT
            ).returncode


def linters() -> list[Program]:
    """Those of `make lint`. The slowest is the last of its list, so it comes first here."""
    listed = subprocess.run(["make", "-s", "lint-list"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [Program("lint", name, ("make", name)) for name in reversed(listed.stdout.split())]


def scenarios() -> list[Program]:
    """All of molecule's, the one that takes longest first."""
    names = sorted((path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml")), reverse=True)
    return [Program("molecule", name, ("molecule", "test", "--scenario-name", name)) for name in names]
