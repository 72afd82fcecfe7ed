# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the plan at the end of a run in check mode."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
type: aggregate
short_description: Planned changes at the end of a run in check mode
version_added: 0.1.0
description:
  - Ends a run in check mode with the number of resources to create, to change and to delete, and a list of them with
    the names of the fields that differ. Values are not printed. Use C(--check --diff), because built-in modules name
    their files only with C(--diff).
  - A run without check mode prints nothing.
  - A callback plugin cannot set the exit code of C(ansible-playbook). Programs read the O(file). The role
    P(mlops.mlflow_gcp.doctor#role) finds drift this way.
author:
  - the mlops.mlflow_gcp authors (@mlops)
requirements:
  - enabled in the configuration (C(callbacks_enabled), or E(ANSIBLE_CALLBACKS_ENABLED=mlops.mlflow_gcp.plan))
options:
  file:
    description:
      - File to which the plan is appended as one line of JSON with the keys C(changes) (C(action), C(resource),
        C(fields), C(host)) and C(failures) (C(task), C(msg)). Without a line the run did not reach its end.
    type: path
    env:
      - name: MLFLOW_GCP_PLAN_FILE
    ini:
      - section: callback_plan
        key: file
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from ..module_utils._plan import Failure, Plan, change

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Collect the changed results, and print the plan."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "mlops.mlflow_gcp.plan"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._plan = Plan()

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Add each changed result of a task, one for each item of a loop."""
        for part in parts(result.result):
            if part.get("changed"):
                self._plan.add(change(part, result.task.get_name(), result.host.get_name()))

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Add a failure that may end the run."""
        if not ignore_errors:
            failed = [part for part in parts(result.result) if part.get("failed")] or [result.result]
            self._fail(result, str(failed[0].get("msg", "")))

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Add an unreachable host as a failure."""
        self._fail(result, str(result.result.get("msg", "unreachable")))

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Print the plan."""
        if not context.CLIARGS.get("check"):
            return
        hosts = stats.processed
        if not any(stats.failures.get(host) or stats.dark.get(host) for host in hosts):
            self._plan.failures.clear()  # rescued
        self._display.display(self._plan.text())
        if path := self.get_option("file"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(self._plan.dump() + "\n")

    def _fail(self, result: CallbackTaskResult, msg: str) -> None:
        self._plan.failures.append(Failure(result.task.get_name(), msg))


def parts(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the results of the items of a loop, or the single result."""
    results = result.get("results")
    if isinstance(results, list):
        yield from (part for part in results if isinstance(part, Mapping))
    else:
        yield result
