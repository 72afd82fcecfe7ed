# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Upload artifacts slowly and without pauses between them, so that an upload is always in flight. No retries.

    MLFLOW_TRACKING_USERNAME=… MLFLOW_TRACKING_PASSWORD=… MLFLOW_TRACKING_SERVER_CERT_PATH=ca.crt \\
      python -m tests.support.upload --url https://… --seconds 60

At the end every accepted artifact is downloaded and compared. Prints a report as JSON; SIGTERM ends the program early,
after the current upload.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

PIECE, PIECES = 4096, 20


class Trickle:
    """A request body in pieces, with a pause before each. http.client sends each piece at once."""

    def __init__(self, content: bytes, pause: Callable[[], object]) -> None:
        self._left, self._pause = content, pause

    def __len__(self) -> int:
        return len(self._left)

    def read(self, size: int = -1) -> bytes:
        """Return the next piece."""
        if self._left:
            self._pause()
        piece = self._left[: PIECE if size < 0 else min(size, PIECE)]
        self._left = self._left[len(piece) :]
        return piece


@dataclass
class Uploads:
    """Uploads to one experiment and their results."""

    url: str
    accepted: dict[str, bytes] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.auth = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request without retries."""
        # An argument of each request, because REQUESTS_CA_BUNDLE overrides the value of a session.
        authority = os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"]
        return self.session.request(method, f"{self.url}/api/2.0/{path}", timeout=60, verify=authority, **options)

    def create_experiment(self, name: str) -> str:
        """Create an experiment; return its ID."""
        answer = self.ask("POST", "mlflow/experiments/create", json={"name": name})
        answer.raise_for_status()
        return str(answer.json()["experiment_id"])

    def upload(self, path: str, content: bytes, pause: Callable[[], object]) -> None:
        """Upload one artifact; record the result."""
        try:
            answer = self.ask("PUT", f"mlflow-artifacts/artifacts/{path}", data=Trickle(content, pause))
            cause = "" if answer.status_code == 200 else f"HTTP {answer.status_code}"
        except requests.RequestException as error:
            cause = type(error).__name__
        if cause:
            self.causes[cause] += 1
        else:
            self.accepted[path] = content

    def report(self) -> dict[str, Any]:
        """Return the report. `wrong` lists accepted artifacts that are missing or different on the server."""
        wrong = [
            path
            for path, content in self.accepted.items()
            if self.ask("GET", f"mlflow-artifacts/artifacts/{path}").content != content
        ]
        failed = self.causes.total()
        return {
            "uploads": len(self.accepted) + failed,
            "failed": failed,
            "causes": dict(self.causes),
            "wrong": wrong,
        }


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Upload continuously, one artifact after the other")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="stop after this many seconds")
    parser.add_argument("--pause", type=float, default=0.25, help=f"seconds before each of {PIECES} pieces")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    uploads = Uploads(options.url)
    experiment = uploads.create_experiment(f"uploads-{time.time_ns()}")
    deadline = time.monotonic() + options.seconds
    print("started", file=sys.stderr, flush=True)
    while time.monotonic() < deadline and not stop.is_set():
        path = f"{experiment}/{len(uploads.accepted) + uploads.causes.total()}.bin"
        uploads.upload(path, os.urandom(PIECE * PIECES), lambda: stop.wait(options.pause))
        if uploads.causes:
            stop.wait(0.1)
    print(json.dumps(uploads.report()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
