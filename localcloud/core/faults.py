# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Faults on demand.

Scripted: the next `count` calls of a method (a glob over method ids) whose path matches `path` (also a glob) answer
`code`, before the handler runs or, with `after`, although it ran (the lost response). With `drop`, their connection is
reset instead. With `operation` the call succeeds, and its operation ends with the error; `path` is then the resource.
Random: each call fails with a probability, from a seed. A share of the failures comes after the handler ran.
"""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from localcloud.core.errors import ApiError

Json = dict[str, Any]


@dataclass
class Fault:
    """One scripted fault; `drop` resets the connection instead of answering `code`."""

    method: str
    path: str = "*"
    code: int = 503
    count: int = 1
    reason: str | None = None
    message: str = "The service is currently unavailable."
    details: list[Json] | None = None
    """Details of the error, such as an ErrorInfo."""
    retry_after: str | None = None
    after: bool = False
    drop: bool = False
    operation: bool = False

    @classmethod
    def of(cls, document: Json) -> Fault:
        """Create a fault from JSON. Raises TypeError or ValueError for invalid JSON values."""
        fault = cls(**document)
        words, numbers = (fault.method, fault.path), (fault.code, fault.count)
        if not all(isinstance(word, str) for word in words) or not all(isinstance(each, int) for each in numbers):
            raise TypeError("method and path are strings, code and count are integers")
        if not 400 <= fault.code <= 599 or fault.count < 1:
            raise ValueError("code is an HTTP error status, count at least 1")
        return fault

    def error(self) -> ApiError:
        """Return the error that the caller gets."""
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return ApiError(self.code, self.reason, self.message, self.details, headers=headers)


RESET = "reset"
_LOST = (500, 502, 503, 504)  # A gateway may send these although the service did the work.


@dataclass(frozen=True)
class RandomFaults:
    """Random faults: each call of `method` fails with probability `rate`.

    `codes` are HTTP statuses, or "reset" for a connection reset. `lost` is the share of failures that come after the
    handler ran. Only 5xx and resets can be lost answers: a service that answers 429 did nothing.
    """

    rate: float
    seed: int = 0
    codes: tuple[int | str, ...] = (503,)
    method: str = "*"
    lost: float = 0.0

    @classmethod
    def of(cls, document: Json) -> RandomFaults:
        """Create random faults from JSON. Raises TypeError or ValueError for invalid JSON values."""
        made = cls(**{**document, "codes": tuple(document.get("codes", cls.codes))})
        if not all(0 <= share <= 1 for share in (made.rate, made.lost)):
            raise ValueError("rate and lost are numbers from 0 to 1")
        if not isinstance(made.seed, int) or not isinstance(made.method, str):
            raise TypeError("seed is an integer, method a string")
        if not made.codes or not all(code == RESET or _is_status(code) for code in made.codes):
            raise ValueError(f"codes are HTTP error statuses and {RESET}")
        return made

    def draw(self, generator: random.Random, method: str) -> Fault | None:
        """Return the fault of one call, or None."""
        if not fnmatchcase(method, self.method) or generator.random() >= self.rate:
            return None
        code, lost = generator.choice(self.codes), generator.random() < self.lost
        if isinstance(code, str):
            return Fault(method, drop=True, after=lost)
        return Fault(method, code=code, after=lost and code in _LOST)


def _is_status(code: Any) -> bool:
    return isinstance(code, int) and 400 <= code <= 599


class Faults:
    """The faults of the next calls. A restart clears them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripted: list[Fault] = []
        self._random: tuple[random.Random, RandomFaults] | None = None

    def script(self, fault: Fault) -> None:
        """Add a fault to the script. The oldest matching fault is used first."""
        with self._lock:
            self._scripted.append(fault)

    def randomize(self, faults: RandomFaults) -> None:
        """Make calls fail at random, in a sequence determined by the seed. A rate of 0 ends it."""
        with self._lock:
            self._random = (random.Random(faults.seed), faults) if faults.rate > 0 else None  # noqa: S311 (repeatable)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._scripted.clear()
            self._random = None

    def describe(self) -> Json:
        """Return the current script."""
        with self._lock:
            return {
                "scripted": [asdict(fault) for fault in self._scripted],
                "random": None if self._random is None else asdict(self._random[1]),
            }

    def take(self, method: str, path: str, *, operation: bool = False) -> Fault | None:
        """Return and use up the fault of a method's call, or of its operation."""
        with self._lock:
            for fault in self._scripted:
                if fault.operation is operation and fnmatchcase(method, fault.method) and fnmatchcase(path, fault.path):
                    fault.count -= 1
                    if fault.count <= 0:
                        self._scripted.remove(fault)
                    return fault
            if self._random is not None and not operation:
                generator, faults = self._random
                return faults.draw(generator, method)
        return None
