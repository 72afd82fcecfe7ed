# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The status of the deployment: slots, desired state, cutover in progress, result of the last cutover."""

from __future__ import annotations

from typing import Any

from ..errors import FailedError
from .slots import NAMES
from .switching import Switch


def status(switch: Switch) -> dict[str, Any]:
    """Return the document of `status`."""
    slots, journal, active = switch.slots, switch.journal, switch.slots.active()
    entry, request = journal.entry(), journal.load("request")
    try:
        wanted, unseen = slots.wanted_release(), slots.unseen(active) if active else []
    except FailedError:
        wanted, unseen = None, []
    return {
        "active": active,
        "slots": {name: {**switch.describe(name), "running": slots.running(name)} for name in NAMES},
        "traffic": switch.traffic.target(),
        "uptime_seconds": slots.uptime(active) if active else 0.0,
        "held": bool(entry and entry.held_since is not None),
        "wanted": {"release": wanted, "version": slots.version(wanted), "unseen": unseen},
        "previous": journal.load("previous"),
        # The release that was rolled back since the last upgrade.
        "rolled_back": journal.load("rolled_back"),
        "phase": entry.step if entry else "asked" if request else "idle",
        "id": entry.id if entry else request["id"] if request else None,
        "result": journal.load("result"),
    }
