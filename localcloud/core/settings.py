# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The home directory and the URL of a local cloud."""

from __future__ import annotations

import os
import pathlib
import secrets
from dataclasses import dataclass

PROJECT = "mlflow-local"
PROJECT_NUMBER = "100000000001"


@dataclass(frozen=True)
class Settings:
    """The home directory and the URL of a local cloud.

    `home` holds its state. `url` is its address on the control node; the owner's key file names it as the token URI.
    """

    home: pathlib.Path
    url: str = "http://127.0.0.1:8787"

    @property
    def credentials(self) -> pathlib.Path:
        """Return the path of the owner's key file."""
        return self.home / "credentials.json"


def write_private(path: pathlib.Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
