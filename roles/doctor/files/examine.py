# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the state of the VM for the doctor as one JSON object. Only reads.

Runs as root in the Python of Debian. An error in one part is the result of this part, and the other parts still run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CURRENT = Path("/opt/mlflow/current")
LIBEXEC = Path("/opt/mlflow/libexec")
CONFIGURATION = Path("/etc/mlflow/server.json")
SECONDS = 60


class MissingError(Exception):
    """A file of the role mlflow is missing on the VM."""


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


def disks(paths: list[str]) -> list[dict[str, Any]]:
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


def pair() -> Any:
    """Return the status of the two slots, or None if the VM has no slots."""
    program = LIBEXEC / "switch.py"
    return json.loads(run("/usr/bin/python3", str(program), "status")) if program.exists() else None


def switch() -> Any:
    """Return the status of the two slots, or of the single unit of an earlier version of the role."""
    if found := pair():
        return found
    state = units()["needed"].get("mlflow.service")
    return {"active": "mlflow", "slots": {"mlflow": {"version": release()["version"], "running": state == "active"}}}


def serving() -> Path:
    """Return the path of the active release, or of the installed release if no slot is known to be active."""
    with suppress(OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        status = pair()
        return Path(status["slots"][status["active"]]["release"]).resolve(strict=True)
    return CURRENT.resolve(strict=True)


def release() -> dict[str, Any]:
    """Return the version, the path and the packages of the active release."""
    home = serving()
    (site,) = home.glob("lib/python3*/site-packages")
    packages = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions(path=[str(site)])}
    return {"version": packages.get("mlflow", ""), "path": str(home), "packages": packages}


def schema(command: str) -> Any:
    """Return the output of schema.py for the installed release and the databases. It contains no secret."""
    program, settings = LIBEXEC / "schema.py", CONFIGURATION
    if not program.exists():
        raise MissingError(f"{program} is missing")
    names = json.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    # Same as in a cutover, but in a unit of its own, because a cutover may run at the same time.
    properties = [f"LoadCredential=mlflow.{name}" for name in ("database-uri", "database-ca")]
    properties += ["User=mlflow", "Group=mlflow", "UMask=0077", f"RuntimeMaxSec={SECONDS}"]
    properties += ["PrivateTmp=yes", "ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes"]
    argv = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet"]
    argv += [word for each in properties for word in ("-p", each)]
    if "auth_database" in names:
        argv += [f"--setenv=MLFLOW_LAUNCH_AUTH_DATABASE={names['auth_database']}"]
    argv += [str(CURRENT.resolve(strict=True) / "bin/python"), "-I", str(program), command]
    return json.loads(run(*argv, seconds=SECONDS + 10).splitlines()[-1])


def encryption() -> Any:
    """Return the names of the stored secrets that the keys of this VM decrypt, never values."""
    program = LIBEXEC / "encryption.py"
    if not program.exists():
        raise MissingError(f"{program} is missing")
    return json.loads(run("/usr/bin/python3", str(program), "check", seconds=SECONDS + 10).splitlines()[-1])


def guarded(part: Callable[[], Any]) -> Any:
    """Return the result of the part, or its error."""
    try:
        return part()
    except subprocess.CalledProcessError as error:
        told = (error.stderr or error.stdout or "").strip().splitlines()
        return {"error": f"{error.cmd[0]} … {error.cmd[-1]} ended with {error.returncode}: {told[-1] if told else ''}"}
    except MissingError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Run all parts and print their results."""
    paths = sys.argv[1:] or ["/"]
    parts: dict[str, Callable[[], Any]] = {
        "clock": clock,
        "disks": lambda: disks(paths),
        "units": units,
        "switch": switch,
        "release": release,
        "heads": lambda: schema("heads"),
        "size": lambda: schema("size"),
        "encryption": encryption,
    }
    print(json.dumps({name: guarded(part) for name, part in parts.items()}))


if __name__ == "__main__":
    main()
