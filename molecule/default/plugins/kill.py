# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Kills the run right after the task $KILL_AFTER has changed something: what later tasks make of that is lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """SIGKILL at a moment that nothing but a callback knows."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """A task that is done, with all items of its loop."""
        if result.is_changed() and result.task.name == os.environ["KILL_AFTER"]:
            os.kill(os.getpid(), signal.SIGKILL)
