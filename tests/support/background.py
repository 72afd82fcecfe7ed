# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run the load and the probe in separate processes, in parallel with a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """A server and the credentials of its client."""

    url: str
    ca: Path
    password: str
    username: str = "admin"


class Background:
    """A program of this package. It runs until its deadline or until `report` is called."""

    def __init__(self, directory: Path, program: str, target: Target, seconds: float, *arguments: str) -> None:
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_USERNAME": target.username,
            "MLFLOW_TRACKING_PASSWORD": target.password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(target.ca),
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", f"tests.support.{program}", "--url", target.url, "--seconds", str(seconds)]
        # Files, because a full pipe would block the program.
        self._output, self._errors = directory / "output", directory / "errors"
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, *arguments], cwd=REPOSITORY, env=environment, stdout=output, stderr=errors
            )
        # The program's imports take seconds. The measurement begins with its first request.
        deadline = time.monotonic() + 120
        while "started" not in self._errors.read_text().split("\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise RuntimeError(f"tests.support.{program} did not start: {self._errors.read_text()}")
            time.sleep(0.1)

    def report(self, patience: float = 180.0) -> dict[str, Any]:
        """End the program and return its report. A client completes its current retries first."""
        self._process.terminate()
        self._process.wait(timeout=patience)
        output = self._output.read_text()
        if not output.strip():
            raise RuntimeError(f"the program printed no report: {self._errors.read_text()}")
        document: dict[str, Any] = json.loads(output.splitlines()[-1])
        return document

    def end(self) -> None:
        """Kill the program if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def background(program: str, target: Target, seconds: float, *arguments: str) -> Iterator[Background]:
    """Run a program of this package while the block runs."""
    with tempfile.TemporaryDirectory() as directory:
        running = Background(Path(directory), program, target, seconds, *arguments)
        try:
            yield running
        finally:
            running.end()
