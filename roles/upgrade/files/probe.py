# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Measure the downtime of a server from the outside.

Requests one page repeatedly, each time on a new TLS connection like a new client, until the stop file exists or the
calling ansible-playbook has ended. A gap lasts from the last good answer before it to the first good answer after it.
The downtime is the sum of all gaps, and never less than the downtime of a client. Prints one JSON document. Runs on
the control node.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL = 0.1  # seconds between the starts of two requests


@dataclass
class Gaps:
    """Good and bad answers in the order of their arrival."""

    good: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    gaps: list[float] = field(default_factory=list)
    slowest: float = 0.0
    _last_good: float | None = None
    _in_gap: bool = False

    def answered(self, begin: float, end: float, problem: str) -> None:
        """Record one answer; ``problem`` is empty for a good answer."""
        if problem:
            self.bad[problem] += 1
            self._in_gap = self._last_good is not None
            return
        self.good += 1
        self.slowest = max(self.slowest, end - begin)
        if self._in_gap and self._last_good is not None:
            self.gaps.append(end - self._last_good)
        self._last_good, self._in_gap = end, False

    def summary(self, end: float) -> dict[str, object]:
        """Return the measurement up to ``end``."""
        open_gap = [end - self._last_good] if self._in_gap and self._last_good is not None else []
        gaps = self.gaps + open_gap
        return {
            "measured": self.good > 0,
            "downtime_seconds": round(sum(gaps), 2),
            "gaps": [round(gap, 2) for gap in gaps],
            "answers": self.good,
            "failures": dict(self.bad),
            "slowest_answer_seconds": round(self.slowest, 2),
            "still_down": bool(open_gap),
        }


class Front:
    """The front end of the server. Requests a page of MLflow that needs no authentication."""

    def __init__(self, address: str, name: str, port: int, ca: str, timeout: float) -> None:
        self.address, self.name, self.port, self.timeout = address, name, port, timeout
        self.context = ssl.create_default_context(cafile=ca or None)

    def ask(self) -> str:
        """Send one request; return the problem, or an empty string."""
        try:
            plain = socket.create_connection((self.address, self.port), timeout=self.timeout)
            with self.context.wrap_socket(plain, server_hostname=self.name) as stream:
                connection = http.client.HTTPSConnection(self.name, self.port, timeout=self.timeout)
                connection.sock = stream
                connection.request("GET", "/health", headers={"Connection": "close"})
                response = connection.getresponse()
                response.read()
        except ssl.SSLCertVerificationError as error:
            return f"certificate: {error.verify_message}"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return "" if response.status == 200 else f"HTTP {response.status}"


def run(ask: Callable[[], str], go_on: Callable[[], bool]) -> dict[str, object]:
    """Send requests until ``go_on`` returns false."""
    gaps = Gaps()
    while go_on():
        begin = time.monotonic()
        problem = ask()
        end = time.monotonic()
        gaps.answered(begin, end, problem)
        time.sleep(max(0.0, begin + INTERVAL - end))
    return gaps.summary(time.monotonic())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Measure how long a server does not answer")
    parser.add_argument("--address", required=True, help="where to connect")
    parser.add_argument("--name", required=True, help="the server's name, as in its certificate")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--ca", default="", help="CA certificate file; default: the CAs that this host trusts")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one answer")
    parser.add_argument("--stop-file", type=Path, required=True, help="its appearance ends the measurement")
    parser.add_argument("--while-process", type=int, required=True, help="so does the end of this process")
    options = parser.parse_args(arguments)
    front = Front(options.address, options.name, options.port, options.ca, options.timeout)
    process = Path(f"/proc/{options.while_process}")
    print(json.dumps(run(front.ask, lambda: process.exists() and not options.stop_file.exists())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
