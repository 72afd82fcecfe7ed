# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""How far a long task is: a module writes it to a file, and the task's action plugin shows what is in the file."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

from ._client import Clock

OPTION: dict[str, Any] = {"progress_file": {"type": "path"}}
SECONDS = 1.0  # between two writes


class Progress:
    """Counts steps, from any thread. Without a file it only counts."""

    def __init__(self, path: str | None, clock: Clock) -> None:
        self._path, self._clock = Path(path) if path else None, clock
        self._lock, self._last, self._text = threading.Lock(), float("-inf"), "{}"
        self.count = 0

    def begin(self, text: str) -> None:
        """Count from zero; ``text`` says of what, with ``{}`` for the number."""
        self.count, self._text = 0, text
        self._write()

    def step(self) -> None:
        """One more."""
        with self._lock:
            self.count += 1
            if self._clock.now() - self._last >= SECONDS:
                self._write()

    def _write(self) -> None:
        self._last = self._clock.now()
        if self._path:
            with contextlib.suppress(OSError):  # the task does not depend on being watched
                self._path.write_text(self._text.replace("{}", f"{self.count:,}"))
