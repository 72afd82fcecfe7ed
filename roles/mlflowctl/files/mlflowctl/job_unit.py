# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs: commands in the Python of a release, as the user and with the credentials of the server.

A job runs in a transient unit with the sandbox of the server. Each job gets only the credentials that it needs.
"""

from __future__ import annotations

import math
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .credentials import ADMIN_PASSWORD, DATABASE_CA, DATABASE_URI, KEK_PASSPHRASES, WEBHOOK_KEYS
from .errors import ExitCode, FailedError
from .settings import active_slot, server_settings
from .system import PROGRAM, PYTHON, Paths

SANDBOX = (
    "User=mlflow",
    "Group=mlflow",
    "UMask=0077",
    "StateDirectory=mlflow",
    "StateDirectoryMode=0750",
    "WorkingDirectory=/var/lib/mlflow",
    "RuntimeDirectoryMode=0700",
    # Some releases of google-auth use the guest agent's mTLS certificates by default and fail with newer Pythons.
    "Environment=GCE_METADATA_MTLS_MODE=none",
    "TimeoutStopSec=90",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
    "DevicePolicy=closed",
)
# A stop of the server stops the purge, a purge never starts the server, and no purge runs during a cutover or a backup.
PURGE = (
    "After=mlflow.service mlflow-credentials.service",
    "PartOf=mlflow.service",
    "Requisite=mlflow.service",
    f"ExecCondition=+{PYTHON} -I {PROGRAM} idle --quiet",
)


@dataclass(frozen=True)
class Job:
    """The needs of a job besides the databases."""

    credentials: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    # Runs in the active release instead of the desired one, and writes to the artifact store.
    active: bool = False
    # Time limit, if the caller gives none.
    seconds: float | None = None


JOBS = {
    "schema": Job(),
    "count-rows": Job(),
    "stored-secrets": Job(credentials=(WEBHOOK_KEYS, KEK_PASSPHRASES), seconds=1020),
    "rotate": Job(credentials=(ADMIN_PASSWORD,)),
    "gc": Job(properties=PURGE, active=True),
}


def command_line(
    words: Sequence[str],
    *,
    paths: Paths,
    release: str = "",
    unit: str = "",
    seconds: float | None = None,
    wait: bool = True,
) -> list[str]:
    """Return the command that runs a job.

    `words` is the command line of mlflowctl. `release` is a directory, by default the desired release. `unit` is the
    name of the unit, by default a new one. `seconds` limits the time of the job. Without `wait`, the command returns
    when the job has started.
    """
    if not words or words[0] not in JOBS:
        name = words[0] if words else ""
        raise FailedError(f"no job is named {name!r}. The jobs: {', '.join(sorted(JOBS))}", ExitCode.USAGE)
    job = JOBS[words[0]]
    unit = unit or f"mlflow-{words[0]}-{secrets.token_hex(4)}"
    properties = [*SANDBOX, *job.properties, f"RuntimeDirectory={unit}"]
    properties += [f"LoadCredential={name}" for name in (DATABASE_URI, DATABASE_CA, *job.credentials)]
    seconds = job.seconds if seconds is None else seconds
    if seconds is not None:
        # systemd enforces the limit even if this process dies. Rounded up: not before the deadline of the caller.
        properties += [f"RuntimeMaxSec={math.ceil(seconds)}"]
    if job.active:
        release = release or str((active_slot(paths) / "release").resolve())
        destination = str(server_settings(paths).get("artifacts_destination", ""))
        properties += [f"ReadWritePaths={destination}"] if destination.startswith("/") else []
    python = Path(release or paths.wanted.resolve()) / "bin" / "python"
    line = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", *(["--wait", "--pipe"] if wait else [])]
    return [*line, *(f"--property={each}" for each in properties), str(python), "-I", str(PROGRAM), *words]


def run(line: Sequence[str]) -> int:
    """Run the command of a job; return the exit code of the job. The output is that of the job."""
    return subprocess.run(line, check=False).returncode
