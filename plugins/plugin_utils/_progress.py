# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Show the progress of a long module while it runs."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SECONDS = 10.0  # between two messages


class ProgressAction(ActionBase):  # type: ignore[misc]
    """Run the task's module and print its progress every few seconds. The module must have ``progress_file``."""

    supports_raw_params = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and return its result."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        # The control node reads the file, so the module must run there.
        if self._connection.transport != "local" or arguments.get("progress_file"):
            return dict(self._execute_module(module_args=arguments, task_vars=task_vars))
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            file = Path(folder) / "progress"
            with Watch(file, Display().display):
                module = self._execute_module(module_args=arguments | {"progress_file": str(file)}, task_vars=task_vars)
        return dict(module)


class Watch:
    """Show the text of a file and the elapsed time every few seconds until the context ends."""

    def __init__(self, file: Path, show: Callable[[str], Any], seconds: float = SECONDS) -> None:
        self._file, self._show, self._seconds = file, show, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        begin = time.monotonic()
        while not self._ended.wait(self._seconds):
            try:
                text = self._file.read_text()
            except OSError:  # the module has not written progress yet
                continue
            if text:
                self._show(f"{text} ({time.monotonic() - begin:.0f} s)")
