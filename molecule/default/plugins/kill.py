# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Kill the run after the task $KILL_AFTER changed something, before the next task."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Sends SIGKILL from a callback, because only a callback can end a run between two tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Kill the run if this task changed something."""
        if result.is_changed() and result.task.name == os.environ["KILL_AFTER"]:
            os.kill(os.getpid(), signal.SIGKILL)
