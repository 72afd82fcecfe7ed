# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The one loop that repeats requests and polls: pauses, time limits, results."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._errors import GoogleError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._retry import Deadline, Retry

from tests.unit.harness import FakeClock

BUSY = GoogleError(503, "backendError", "busy")


def retry_of(clock: FakeClock, seconds: float = 600.0, rand: float = 1.0, **kwargs: Any) -> Retry:
    return Retry(clock, Deadline.after(clock, seconds).left, lambda: rand, **kwargs)


def scripted(*results: Any) -> Callable[[], Any]:
    """Return an action that returns or raises these results in order."""
    rest = list(results)

    def action() -> Any:
        result = rest.pop(0)
        if isinstance(result, GoogleError):
            raise result
        return result

    return action


def test_returns_the_first_finished_result(clock: FakeClock) -> None:
    action = scripted(BUSY, "running", "done")
    assert retry_of(clock).call(action, repeat_for=lambda _: 60.0, unfinished=lambda it: it == "running") == "done"
    assert clock.sleeps == [1.0, 2.0]


def test_a_permanent_error_is_not_repeated(clock: FakeClock) -> None:
    retry = retry_of(clock)
    with pytest.raises(GoogleError):
        retry.call(scripted(BUSY))
    assert (clock.sleeps, retry.exhausted) == ([], False)


def test_pauses_double_up_to_a_maximum_and_are_jittered(clock: FakeClock) -> None:
    attempts = (0, 3, 9, 5000)
    assert [retry_of(clock).backoff(attempt) for attempt in attempts] == [1.0, 8.0, 32.0, 32.0]
    assert [retry_of(clock, rand=0.0).backoff(attempt) for attempt in attempts] == [0.5, 4.0, 16.0, 16.0]
    assert [retry_of(clock, first=2.0, longest=15.0).backoff(attempt) for attempt in attempts] == [2, 15, 15, 15]


def test_raises_the_last_error_after_the_limit(clock: FakeClock) -> None:
    retry = retry_of(clock)
    last = GoogleError(503, "backendError", "still busy")
    with pytest.raises(GoogleError, match="still busy"):
        retry.call(scripted(BUSY, BUSY, last), repeat_for=lambda _: 6.0)
    assert (retry.attempts, retry.exhausted, clock.sleeps) == (3, True, [1.0, 2.0])


def test_returns_the_last_unfinished_result_after_the_limit(clock: FakeClock) -> None:
    assert retry_of(clock).call(scripted(1, 2, 3), unfinished=lambda _: True, seconds=6.0) == 3


def test_never_sleeps_past_the_deadline(clock: FakeClock) -> None:
    assert retry_of(clock, seconds=6.0).call(scripted(1, 2, 3), unfinished=lambda _: True) == 3
    assert clock.sleeps == [1.0, 2.0]


def test_the_limit_counts_from_the_end_of_the_first_attempt(clock: FakeClock) -> None:
    action = scripted(BUSY, "done")

    def slow() -> Any:
        clock.time += 120.0
        return action()

    assert retry_of(clock).call(slow, repeat_for=lambda _: 60.0) == "done"


def test_a_longer_pause_that_the_service_asks_for_allows_one_attempt(clock: FakeClock) -> None:
    later = GoogleError(503, "backendError", "busy", retry_after=200.0)
    with pytest.raises(GoogleError):
        retry_of(clock).call(scripted(later, later), repeat_for=lambda _: 60.0)
    assert clock.sleeps == [200.0]


def test_a_number_of_attempts_can_be_the_limit(clock: FakeClock) -> None:
    retry = retry_of(clock)
    with pytest.raises(GoogleError):
        retry.call(scripted(BUSY, BUSY, BUSY), repeat_for=lambda _: math.inf if retry.attempts < 2 else 0.0)
    assert len(clock.sleeps) == 2
