# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run commands of mlflowctl on the VM and read their results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
PROGRAM = "/usr/local/bin/mlflowctl"
DONE, FAILED, REFUSED, TIMEOUT, NOT_INSTALLED = 0, 1, 3, 5, 127


@dataclass(frozen=True)
class Answer:
    """The result of a command."""

    code: int
    document: Json = field(default_factory=dict)
    stderr: str = ""

    @property
    def cause(self) -> str:
        """The cause of a failure: the last line of the messages."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"mlflowctl ended with exit code {self.code}"


def parse(text: str) -> Json:
    """Return the document in the output of a command."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


class Program:
    """The program on this VM. `execute` is the method run_command of a module."""

    def __init__(self, execute: Callable[..., tuple[int, str, str]], path: str = PROGRAM) -> None:
        self._execute, self._path = execute, path

    def run(self, *words: str, stdin: str | None = None) -> Answer:
        """Run a command."""
        if not Path(self._path).exists():
            return Answer(NOT_INSTALLED, {}, f"{self._path} is not installed on this VM. Run site.yml first.")
        code, stdout, stderr = self._execute([self._path, *words], data=stdin)
        return Answer(code, parse(stdout), stderr)

    def read(self, *words: str) -> Json:
        """Return the document of a command that must succeed. Raise CommandError otherwise."""
        answer = self.run(*words)
        if answer.code:
            raise CommandError(answer.cause)
        return answer.document


class CommandError(Exception):
    """A command failed; the message is its cause."""
