# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a long task: the module writes a file, and the task's action plugin shows it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

from ._client import Clock

OPTION: dict[str, Any] = {"progress_file": {"type": "path"}}
SECONDS = 1.0  # between two writes


class Progress:
    """Thread-safe counter of steps. Without a file it only counts."""

    def __init__(self, path: str | None, clock: Clock) -> None:
        self._path, self._clock = Path(path) if path else None, clock
        self._lock, self._last, self._text = threading.Lock(), float("-inf"), "{}"
        self.count = 0

    def begin(self, text: str) -> None:
        """Restart at zero. ``text`` describes the steps, with ``{}`` for the number."""
        self.count, self._text = 0, text
        self._write()

    def step(self) -> None:
        """Count one step."""
        with self._lock:
            self.count += 1
            if self._clock.now() - self._last >= SECONDS:
                self._write()

    def _write(self) -> None:
        self._last = self._clock.now()
        if self._path:
            with contextlib.suppress(OSError):  # the task must not fail if its progress cannot be written
                self._path.write_text(self._text.replace("{}", f"{self.count:,}"))
