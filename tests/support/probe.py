# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Send a cheap request ten times a second, without retries, and measure the downtime.

    MLFLOW_TRACKING_USERNAME=… MLFLOW_TRACKING_PASSWORD=… MLFLOW_TRACKING_SERVER_CERT_PATH=ca.crt \\
      python -m tests.support.probe --url https://… --seconds 60

The downtime is the time from the last good answer before a failure to the first good answer after it. Prints a report
as JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

PATH = "/api/2.0/mlflow/experiments/get?experiment_id=0"


@dataclass
class Record:
    """Times of good answers and of failures, in order."""

    good: list[float] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """Return the downtime and the failures."""
        gaps = [after - before for before, after in itertools.pairwise(self.good)]
        away = [
            after - before
            for before, after in itertools.pairwise(self.good)
            if any(before < failure < after for failure in self.bad)
        ]
        return {
            "requests": len(self.good) + len(self.bad),
            "failed": len(self.bad),
            "causes": dict(self.causes),
            "longest_gap_seconds": round(max(gaps, default=0.0), 3),
            "away_seconds": round(sum(away), 3),
            "away_times": len(away),
        }


def ask(session: requests.Session, url: str, record: Record) -> None:
    """Send one request; record the time of the answer."""
    try:
        # An argument of each request, because REQUESTS_CA_BUNDLE overrides the value of a session.
        answer = session.get(url + PATH, timeout=30, verify=os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"])
        cause = "" if answer.status_code == 200 else f"HTTP {answer.status_code}"
    except requests.RequestException as error:
        cause = type(error).__name__
    if cause:
        record.bad.append(time.monotonic())
        record.causes[cause] += 1
    else:
        record.good.append(time.monotonic())


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure the downtime of a server")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="stop after this many seconds")
    parser.add_argument("--interval", type=float, default=0.1)
    options = parser.parse_args()
    stop, record = threading.Event(), Record()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    session = requests.Session()
    session.auth = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
    deadline = time.monotonic() + options.seconds
    print("started", file=sys.stderr, flush=True)
    while time.monotonic() < deadline and not stop.is_set():
        started = time.monotonic()
        ask(session, options.url, record)
        stop.wait(max(0.0, started + options.interval - time.monotonic()))
    print(json.dumps(record.report()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
