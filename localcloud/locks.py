# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Locks that live as long as their process: what two processes must not do at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

MACHINE = Path("/run/mlflow-localcloud.lock")
"""Held by the one process whose machines and networks are on this host; it says where that process's home is."""


class Taken(Exception):  # noqa: N818 - it is an answer as much as an error
    """Somebody else holds the lock; the text is what the holder wrote into it."""


def hold(path: Path, text: str) -> IO[str]:
    """Take a lock until the returned file is closed or the process ends; raises Taken."""
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
    """What the holder of a lock wrote into it; None when nobody holds it."""
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
    """What to say when a local cloud with another home has this host."""
    down = f"python -m localcloud down --home {home}"
    return f"another local cloud, whose home is {home}, runs on this host, and there is one network for both: `{down}`"
