# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Releases that were rolled back. An upgrade does not select them again automatically.

The VM records the last one until the next upgrade. The record of the deployment also outlives a new VM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _release


def rolled_back(vm: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None) -> dict[str, str]:
    """Return version → time of the rollback, which is empty if a later release was deployed since then.

    ``vm`` is `rolled_back` of `mlflowctl status`, ``recorded`` is the record of the deployed release.
    """
    vm, recorded = vm or {}, recorded or {}
    found = [
        (vm.get("version"), vm.get("since")),
        (recorded.get("rolled_back_from"), recorded.get("since")),
        *((version, "") for version in recorded.get("skipped") or ()),
    ]
    times: dict[str, str] = {}
    for version, since in found:
        if version:
            times.setdefault(version, since or "")
    return times


def release_record(
    deployed: Mapping[str, Any],
    vm: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    *,
    requirements: str,
    since: str,
) -> dict[str, Any]:
    """Return the record of the deployed release.

    It keeps the rolled-back releases that are newer than the deployed release, because the VM forgets them.
    """
    rolled_back_from = deployed.get("rolled_back_from") or ""
    return {
        "version": deployed["version"],
        "since": since,
        "rolled_back_from": rolled_back_from,
        "skipped": [
            each
            for each in rolled_back(vm, recorded)
            if each != rolled_back_from and _release.newer(each, deployed["version"])
        ],
        "requirements": requirements,
    }
