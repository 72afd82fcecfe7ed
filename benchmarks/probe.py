# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Ask the server something cheap ten times a second, never again after a failure, and tell how long it was away.

    MLFLOW_TRACKING_USERNAME=… MLFLOW_TRACKING_PASSWORD=… MLFLOW_TRACKING_SERVER_CERT_PATH=ca.crt \\
      python -m benchmarks.probe --url https://… --seconds 60

Away is from the last good answer before a failure to the first one after it. Prints a report as JSON.
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
    """The answers, in order."""

    good: list[float] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """How long the server was away."""
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
    """Ask once; note when the answer came."""
    try:
        # Given with each request: a session's own gives way to REQUESTS_CA_BUNDLE.
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
    parser = argparse.ArgumentParser(description="Tell how long a server was away")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="stops by itself after this time")
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
