# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Molecule's scenarios as programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def log_of(scenario: str) -> Path:
    """Where a scenario's whole output is kept."""
    return REPOSITORY / "artifacts" / "molecule" / f"{scenario}.log"


def run(scenario: str, environment: dict[str, str]) -> int:
    """One scenario's whole sequence; its exit code."""
    log = log_of(scenario)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        return subprocess.run(
            ["molecule", "test", "--scenario-name", scenario],
            cwd=REPOSITORY,
            env=environment,
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode
