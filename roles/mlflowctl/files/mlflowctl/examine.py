# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Collect the state of the VM for the doctor. Only reads.

An error in one part is the result of this part, and the other parts still run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import job_unit
from .cutover.status import status
from .cutover.switching import Switch
from .errors import FailedError, one_line
from .settings import server_settings
from .system import PROGRAM, System

SECONDS = 60


def run(*command: str, seconds: float = SECONDS) -> str:
    """Return the output of a command. Raise CalledProcessError or TimeoutExpired if it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds).stdout


def clock() -> dict[str, Any]:
    """Return the time and whether it is synchronized, or None if timedatectl does not report that."""
    try:
        answer = run("timedatectl", "show", "--property=NTPSynchronized", "--value", seconds=10).strip()
        synchronized = {"yes": True, "no": False}.get(answer)
    except (OSError, subprocess.SubprocessError):
        synchronized = None
    return {"time": time.time(), "synchronized": synchronized}


def disks(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return the used and free space on the disks of these paths, each disk once."""
    found, seen = [], set()
    for path in paths:
        device = Path(path).stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        usage, files = shutil.disk_usage(path), os.statvfs(path)
        found.append(
            {
                "path": path,
                "size": usage.total,
                "free": usage.free,
                # Same as df: space that is reserved for root is not free.
                "used_percent": 100 * usage.used / max(usage.used + usage.free, 1),
                "used_files_percent": 100 * (1 - files.f_favail / files.f_files) if files.f_files else 0.0,
            }
        )
    return found


def size(directory: Path) -> int:
    """Return the bytes that a directory uses on the disk. Files with several names count once."""
    found = {}
    for folder, _folders, names in os.walk(directory):
        for name in (".", *names):
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def units() -> dict[str, Any]:
    """Return the failed units and the state of MLflow and nginx."""
    listed = run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
    needed = ["mlflow.service", "nginx.service"]
    states = subprocess.run(
        ["systemctl", "is-active", *needed], check=False, capture_output=True, text=True, timeout=SECONDS
    ).stdout
    return {
        "failed": [line.split()[0] for line in listed.splitlines() if line.strip()],
        "needed": dict(zip(needed, states.split(), strict=False)),
    }


def serving(system: System) -> Path:
    """Return the path of the active release, or of the installed release if no slot is known to be active."""
    with suppress(FailedError, OSError, ValueError, LookupError, TypeError):
        found = status(Switch(system))
        return Path(found["slots"][found["active"]]["release"]).resolve(strict=True)
    return system.paths.wanted.resolve(strict=True)


def release(system: System) -> dict[str, Any]:
    """Return the version, the path and the packages of the active release."""
    home = serving(system)
    (site,) = home.glob("lib/python3*/site-packages")
    packages = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions(path=[str(site)])}
    return {"version": packages.get("mlflow", ""), "path": str(home), "packages": packages}


def ask(system: System, *words: str) -> Any:
    """Return the output of a job for the installed release. It contains no secret."""
    line = job_unit.command_line(words, paths=system.paths, seconds=SECONDS)
    return json.loads(system.run(*line, timeout=SECONDS + 10).splitlines()[-1])


def signed_urls(system: System) -> dict[str, Any]:
    """Return whether the server creates signed URLs, and why Google does not sign; empty if it does."""
    if not server_settings(system.paths).get("direct_transfers"):
        return {"used": False, "cause": ""}
    command = [str(serving(system) / "bin" / "python"), "-P", "-m", "mlflow_gcp_server.signing"]
    environment = os.environ | {"PYTHONPATH": str(PROGRAM / "server")}
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=SECONDS, env=environment
    ).stdout
    return {"used": True, **json.loads(output.splitlines()[-1])}


def guarded(part: Callable[[], Any]) -> Any:
    """Return the result of the part, or its error."""
    try:
        return part()
    except subprocess.CalledProcessError as error:
        told = (error.stderr or error.stdout or "").strip().splitlines()
        return {"error": f"{error.cmd[0]} … {error.cmd[-1]} ended with {error.returncode}: {told[-1] if told else ''}"}
    except Exception as error:
        return {"error": one_line(error)}


def examine(system: System, paths: Sequence[str]) -> dict[str, Any]:
    """Return the results of all parts. `paths` are on the disks to measure."""
    parts: dict[str, Callable[[], Any]] = {
        "clock": clock,
        "disks": lambda: disks(paths),
        "units": units,
        "switch": lambda: status(Switch(system)),
        "release": lambda: release(system),
        "heads": lambda: ask(system, "schema", "heads"),
        "size": lambda: ask(system, "schema", "size"),
        "signed_urls": lambda: signed_urls(system),
        "encryption": lambda: ask(system, "stored-secrets", "check"),
    }
    return {name: guarded(part) for name, part in parts.items()}
