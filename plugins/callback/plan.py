# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print a plan for programs: one line of JSON for each task that changes something or fails."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
type: stdout
short_description: Changes of a run, one JSON object a line
version_added: 0.1.0
description:
  - Prints a line for each changed and each failed result, and one at the end, so that a program can read the plan of a
    run in check mode. The role P(mlops.mlflow_gcp.doctor#role) finds drift with this plugin.
  - Prints the names of the fields that differ, not their values.
author:
  - the mlops.mlflow_gcp authors (@mlops)
requirements:
  - set as stdout callback in the configuration, or E(ANSIBLE_STDOUT_CALLBACK=mlops.mlflow_gcp.plan)
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Print lines of JSON on standard output."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "mlops.mlflow_gcp.plan"

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Print each changed result of a task, one for each item of a loop."""
        for part in parts(result.result):
            if part.get("changed"):
                what, fields = difference(part.get("diff"))
                self._print(event="changed", task=result.task.get_name(), what=what, fields=fields)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Print a failure that ends the run."""
        if not ignore_errors:
            failed = [part for part in parts(result.result) if part.get("failed")] or [result.result]
            self._print(event="failed", task=result.task.get_name(), msg=str(failed[0].get("msg", "")))

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Print an unreachable host as a failure."""
        self._print(event="failed", task=result.task.get_name(), msg=str(result.result.get("msg", "unreachable")))

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Print the end of the run."""
        self._print(event="end")

    def _print(self, **entry: Any) -> None:
        self._display.display(json.dumps(entry))


def parts(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the results of the items of a loop, or the single result."""
    results = result.get("results")
    if isinstance(results, list):
        yield from (part for part in results if isinstance(part, Mapping))
    else:
        yield result


def difference(diff: Any) -> tuple[str, list[str]]:
    """Return the subject of a diff, and the dotted names of the fields that differ."""
    documents = diff if isinstance(diff, list) else [diff]
    for document in documents:
        if not isinstance(document, Mapping):
            continue
        what = str(document.get("after_header") or document.get("before_header") or "")
        before, after = document.get("before"), document.get("after")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            if not before:
                return what, ["missing"]
            return what, sorted(names(before, after))
        if what:
            return what, []
    return "", []


def names(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the fields that differ."""
    for key in {**before, **after}:
        had, gets = before.get(key), after.get(key)
        if isinstance(had, Mapping) and isinstance(gets, Mapping):
            yield from names(had, gets, f"{prefix}{key}.")
        elif had != gets:
            yield f"{prefix}{key}"
