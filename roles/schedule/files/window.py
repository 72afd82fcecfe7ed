# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse a start by the timer that is too late.

At boot, a persistent timer starts the run that was missed while the host was off, for example on a Monday morning. An
upgrade must not start then. A start by hand is always accepted. Runs with the system Python of the control node.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

SPAN = re.compile(r"μs:\s*(\d+)")
ELAPSE = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})(?:\.\d+)? UTC")
GRACE = 60.0  # seconds that a start itself may take


def analyze(*arguments: str) -> str:
    """Return the output of systemd-analyze."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["systemd-analyze", *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout


def seconds(span: str) -> float:
    """Convert a time span of systemd to seconds."""
    found = SPAN.search(analyze("timespan", span))
    if found is None:
        raise SystemExit(f"systemd-analyze does not print the length of the time span {span}")
    return int(found[1]) / 1e6


def next_after(calendar: str, moment: float) -> float | None:
    """Return the first planned time after a moment, or None if there is none."""
    found = ELAPSE.search(analyze("calendar", f"--base-time=@{int(moment)}", calendar))
    if found is None:
        return None
    planned = datetime.datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.UTC)
    return planned.timestamp()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Refuse a start that is too late")
    parser.add_argument("--calendar", required=True)
    parser.add_argument("--jitter", required=True)
    parser.add_argument("--window", required=True)
    options = parser.parse_args(arguments)
    # systemd 252 and newer name the timer that starts a service.
    if not os.environ.get("TRIGGER_UNIT"):
        return 0
    now = time.time()
    latest = seconds(options.jitter) + seconds(options.window) + GRACE
    planned = next_after(options.calendar, now - latest)
    if planned is not None and planned <= now:
        return 0
    print(
        f"Refused: the start is later than {options.window} (schedule_window) after the planned time of "
        f"'{options.calendar}' and its random delay of up to {options.jitter}. The next planned time is not affected. "
        "To upgrade now, start this service manually.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
