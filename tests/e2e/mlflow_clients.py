# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow clients of two releases, and files for them to log."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.deployment import BIN, REPO, Deployment

OLD = "2.22.5"
LOCK = REPO / "molecule" / "upgrade" / f"requirements-{OLD}.txt"
MIB = 1024 * 1024


@functools.cache
def python_of(release: str) -> str:
    """Return a Python with the client of a release: "newest" or OLD. The old one is installed once, from its lock."""
    if release == "newest":
        return sys.executable
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    venv = REPO / ".cache" / "clients" / f"{OLD}-{digest}"
    python = venv / "bin" / "python"
    if not (venv / ".complete").exists():
        install = ["pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK), "--python", str(python)]
        for command in (["venv", "--quiet", "--clear", "--python", sys.executable, str(venv)], install):
            subprocess.run([BIN / "uv", *command], check=True, timeout=600)
        (venv / ".complete").touch()
    return str(python)


def environment_of(site: Deployment, settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a client with these variables."""
    environment = {name: value for name, value in site.environment.items() if not name.startswith("MLFLOW_MULTIPART")}
    return environment | site.client_environment | {"MLFLOW_DISABLE_TELEMETRY": "true"} | settings


def run_client(
    site: Deployment, release: str, program: str, *arguments: str, settings: dict[str, str]
) -> dict[str, Any]:
    """Run a program; return the JSON of its last line."""
    done = subprocess.run(
        [python_of(release), "-c", program, *arguments],
        env=environment_of(site, settings),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def make_file(path: Path, size: int) -> str:
    """Create a file of zeros with a different byte in each 10 MiB, to detect swapped parts; return its MD5."""
    with path.open("wb") as file:
        file.truncate(size)
        for number in range(size // (10 * MIB)):
            file.seek(number * 10 * MIB + number)
            file.write(bytes([number + 1]))
    return md5_of(path)


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in base64, as in Cloud Storage."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, functools.partial(hashlib.md5, usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()
