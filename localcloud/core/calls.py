# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The log of API calls, in memory and bounded."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from localcloud.core.clock import Clock

_LIMIT = 20_000  # Two runs of a whole deployment and its day-2 operations.


@dataclass
class Entry:
    """One call."""

    number: int
    """The position in the log. A mark is the number of the last call before it."""
    time: float
    """Seconds since the epoch."""
    method: str
    """The method ID of the contract, or `SERVICE.raw` for a path outside the contract."""
    verb: str
    path: str
    project: str | None = None
    status: int = 0
    """The status that the client got; 0 after a connection reset, and while the call runs."""
    handled: int | None = None
    """The status of the handler, which a fault may replace; None if no handler ran."""
    duration: float | None = None
    """Seconds until the answer; None while the call runs."""
    name: str | None = None
    """The field `name` of the answer: the resource, or the operation."""
    targetLink: str | None = None  # noqa: N815 (the name of the field in the answer)
    """The resource of the operation in the answer."""


class CallLog:
    """The latest calls, oldest first. A restart clears the log and its marks."""

    def __init__(self, clock: Clock, limit: int = _LIMIT) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._entries: collections.deque[Entry] = collections.deque(maxlen=limit)
        self._last = 0

    @contextmanager
    def record(self, method: str, verb: str, path: str) -> Iterator[Entry]:
        """Add a call when it starts; set its duration when it ends."""
        start = monotonic()
        with self._lock:
            self._last = next(self._numbers)
            entry = Entry(self._last, self._clock.time(), method, verb, path)
            self._entries.append(entry)
        try:
            yield entry
        finally:
            entry.duration = round(monotonic() - start, 6)

    def mark(self) -> int:
        """Return the number of the latest call, for `since`."""
        return self._last

    def since(self, mark: int | None = None) -> list[dict[str, Any]]:
        """Return the calls after a mark, by default all. Raises ValueError if the log has lost calls after the mark."""
        with self._lock:
            entries = [entry for entry in self._entries if entry.number > (mark or 0)]
            dropped = self._last - len(self._entries)
        if mark is not None and mark < dropped:
            raise ValueError(f"the log has no calls before number {dropped + 1}, and the mark is {mark}")
        return [asdict(entry) for entry in entries]

    def clear(self) -> None:
        """Remove all calls. Earlier marks are lost."""
        with self._lock:
            self._entries.clear()
