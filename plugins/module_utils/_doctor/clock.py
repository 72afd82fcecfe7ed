# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the clocks of the control node, the server and the VM."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from typing import Any

from .endpoint import Endpoint
from .facts import part
from .results import CheckResult, NotCheckedError, graded, one_line


def clock(
    endpoint: Endpoint, vm: float | None, synchronized: bool | None, warn_seconds: float, fail_seconds: float
) -> CheckResult:
    """Check the difference between the clocks. ``vm`` and ``synchronized`` are the result of vm_skew."""
    remedy = "enable a time service on the VM (timedatectl) and on this control node"
    parts, skews, missing = [], [], []
    try:
        before = endpoint.now()
        response = endpoint.request("GET", "/health", authenticated=False)
        after = endpoint.now()
        stamp = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
        # The header has whole seconds, rounded down.
        skews.append(_outside(stamp, before - 1.0, after))
        parts.append(f"server {skews[-1]:+.0f} s")
    except (NotCheckedError, KeyError, TypeError, ValueError) as error:
        missing.append(f"time of the server unknown ({one_line(error, 80)})")
    if vm is None:
        missing.append("time of the VM unknown")
    else:
        skews.append(vm)
        parts.append(f"VM {vm:+.0f} s")
    if synchronized is not None:
        parts.append("VM synchronized" if synchronized else "VM not synchronized")
    if not skews:
        raise NotCheckedError("; ".join(missing), remedy)
    worst = max(abs(skew) for skew in skews)
    warns = worst > warn_seconds or synchronized is False or bool(missing)
    return graded("clock", ", ".join(parts + missing), (warns, worst > fail_seconds), remedy)


def vm_skew(facts: Mapping[str, Any]) -> tuple[float | None, bool | None]:
    """Return by how many seconds the VM's clock is ahead, and whether it is synchronized. None if unknown."""
    try:
        seen = part(facts, "clock")
        before, after, stamp = float(facts["asked_at"]), float(facts["answered_at"]), float(seen["time"])
    except (NotCheckedError, KeyError, TypeError, ValueError):
        return None, None
    return _outside(stamp, before, after), seen.get("synchronized")


def _outside(value: float, low: float, high: float) -> float:
    return value - high if value > high else value - low if value < low else 0.0
