# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Repeat an action with growing, random pauses until a deadline. All waits for services use this file."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ._errors import ServiceError

T = TypeVar("T")
LONGEST_PAUSE = 32.0


class Clock:
    """The time. Tests replace this class."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Deadline:
    """A point in time, with the original number of seconds for messages."""

    clock: Clock
    seconds: float
    end: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now."""
        return cls(clock, seconds, clock.now() + seconds)

    def left(self) -> float:
        """Return the remaining seconds, at least 0."""
        return max(0.0, self.end - self.clock.now())


@dataclass
class Retry:
    """The attempts of one action. ``left`` returns the seconds until the deadline of the whole module.

    The pause after an attempt doubles from ``first`` to ``longest`` seconds. A random factor from 0.5 to 1 keeps
    several clients from repeating their requests at the same moment.
    """

    clock: Clock
    left: Callable[[], float]
    rand: Callable[[], float] = random.random
    first: float = 1.0
    longest: float = LONGEST_PAUSE
    attempts: int = 0  # failed or unfinished attempts so far
    exhausted: bool = False  # whether the time limit ended the attempts
    _begin: float | None = None

    def call(
        self,
        action: Callable[[], T],
        *,
        repeat_for: Callable[[Any], float] = lambda _: 0.0,
        unfinished: Callable[[T], Any] = lambda _: False,
        seconds: float = math.inf,
    ) -> T:
        """Repeat the action until it returns a finished result, and return the result.

        ``repeat_for`` returns the seconds for which an error is regarded as temporary, or 0 for a permanent error.
        ``seconds`` is the limit for results that are ``unfinished``. After the limit, the last error is raised or the
        last result is returned.
        """
        while True:
            try:
                result = action()
            except ServiceError as error:
                limit = repeat_for(error)
                if not limit or not self.pause(limit, error.retry_after):
                    raise
            else:
                if not unfinished(result) or not self.pause(seconds):
                    return result

    def pause(self, seconds: float = math.inf, at_least: float = 0.0) -> bool:
        """Sleep before the next attempt. Return False at once if the time limit is earlier than the end of the pause.

        ``seconds`` counts from the end of the first attempt, because an attempt may take minutes. ``at_least`` is the
        pause that the service asked for (Retry-After). If it is longer than ``seconds``, there is one more attempt.
        """
        now = self.clock.now()
        self._begin = now if self._begin is None else self._begin
        pause = max(self.backoff(self.attempts), at_least)
        limit = max(seconds, at_least + 1.0) if at_least else seconds
        self.attempts += 1
        self.exhausted = pause >= min(self._begin + limit - now, self.left())
        if not self.exhausted:
            self.clock.sleep(pause)
        return not self.exhausted

    def backoff(self, attempt: int) -> float:
        """Return the pause in seconds after an attempt, counted from 0."""
        return min(self.longest, self.first * 2.0 ** min(attempt, 16)) * (0.5 + self.rand() / 2)
