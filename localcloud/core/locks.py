# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Locks between processes. A lock is released when its process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

MACHINE = Path("/run/mlflow-localcloud.lock")
"""Held by the process whose VMs and networks are on this host. Contains the home of that process."""


class Taken(Exception):  # noqa: N818 - used as an answer as much as an error
    """Another process holds the lock; the message is the text that it wrote into the lock."""


def hold(path: Path, text: str) -> IO[str]:
    """Take a lock until the returned file is closed or the process ends. Raises Taken."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        said = file.read().strip()
        file.close()
        raise Taken(said) from None
    file.truncate(0)
    file.write(f"{text}\n")
    file.flush()
    return file


def holder(path: Path) -> str | None:
    """Return the text of a lock's holder; None if the lock is free."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip()
    except FileNotFoundError:
        pass
    return None


def other_cloud(home: str) -> str:
    """Return the error message for a host that a local cloud with another home uses."""
    down = f"python -m localcloud down --home {home}"
    return f"another local cloud, whose home is {home}, runs on this host, and there is one network for both: `{down}`"
