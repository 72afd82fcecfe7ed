# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Log each authentication decision as one line of JSON."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import Scope

EVENT = "authentication"
RESULTS = {401: "unauthenticated", 403: "forbidden", 429: "limited"}
"""Result for a status. `accepted` for every other status: the request was authenticated."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MAXIMAL_LENGTH = 1024
"""Maximal characters of a text that the client chooses."""


@dataclass
class Decision:
    """The caller of a request and the decision. Without credentials."""

    user: str = ""
    method: str = ""
    """basic, cookie, bearer or job. Empty without a credential."""
    reason: str = ""
    """Why the caller was refused."""
    result: str = ""
    """The result, if the status does not tell it."""


def to_journal(line: str) -> None:
    """Write a line to the standard output, which is the journal. One call, so lines of processes do not mix."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Audit:
    """Writes the lines. Never raises an error for a request."""

    def __init__(self, write: Callable[[str], None] = to_journal, clock: Callable[[], float] = time.time) -> None:
        self._write, self._clock = write, clock

    def record(self, scope: Scope, decision: Decision, status: int | None) -> None:
        """Write the line of a request. `status` is None if the request ended without a response."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        line = {
            "event": EVENT,
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "user": decision.user[:MAXIMAL_LENGTH] or None,
            "method": decision.method or None,
            "result": decision.result or RESULTS.get(status or 0, "accepted"),
            "status": status,
            "verb": scope["method"],
            "route": scope["path"][:MAXIMAL_LENGTH],
            "request_id": request_id(scope),
            # uvicorn reads the client from X-Forwarded-For, which nginx overwrites.
            "client": (scope.get("client") or [None])[0],
        }
        if decision.reason:
            line["reason"] = decision.reason[:MAXIMAL_LENGTH]
        # ASCII: a line break in a path cannot begin a new line.
        self._write(json.dumps(line))


def request_id(scope: Scope) -> str:
    """Return the ID that nginx gave to a request, or a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
