# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Refresh before the expiry, concurrent requests, failures, sleep, clock changes and fork."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from mlflow_gcp_auth import AuthenticationError, Settings, auth
from mlflow_gcp_auth.cache import MARGIN, RETRY, TokenCache, _Entry
from mlflow_gcp_auth.identity_token import IdentityToken

AUDIENCE = "https://mlflow.example"


class Google:
    """Issues numbered tokens, or fails."""

    def __init__(self) -> None:
        self.issued = self.failed = 0
        self.lifetime = 3600.0
        self.works = True
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def fetch(self, settings: Settings, audience: str) -> IdentityToken:
        if self.gate:
            self.entered.set()
            assert self.gate.wait(60)
        if not self.works:
            self.failed += 1
            raise AuthenticationError("Google's answer: backend error")
        self.issued += 1
        return IdentityToken(f"token {self.issued} for {audience}", "a@example.com", self.lifetime)


class Clocks:
    """The wall clock and the monotonic clock, which stand still until a test changes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = 1_000_000.0, 500.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def get(google: Google) -> Callable[[], str]:
    cache = TokenCache(google.fetch)
    return lambda: cache.get(Settings(), AUDIENCE).value


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def number(token: str) -> int:
    return int(token.split()[1])


def test_a_token_is_kept_until_five_minutes_before_its_expiry(get: Callable[[], str], clocks: Clocks) -> None:
    assert number(get()) == 1
    clocks.advance(3600 - MARGIN - 1)
    assert number(get()) == 1
    clocks.advance(1)
    assert number(get()) == 2


def test_a_short_token_is_refreshed_after_half_of_its_lifetime(
    google: Google, get: Callable[[], str], clocks: Clocks
) -> None:
    google.lifetime = 60
    assert number(get()) == 1
    clocks.advance(29)
    assert number(get()) == 1
    clocks.advance(1)
    assert number(get()) == 2


def test_the_time_of_the_request_counts(google: Google, clocks: Clocks) -> None:
    """The age of a token is measured from the begin of the request, so a slow answer does not prolong it."""

    def slow(settings: Settings, audience: str) -> IdentityToken:
        token = google.fetch(settings, audience)
        clocks.advance(400)
        return token

    cache = TokenCache(slow)
    cache.get(Settings(), AUDIENCE)
    clocks.advance(3600 - MARGIN - 400)
    assert number(cache.get(Settings(), AUDIENCE).value) == 2


def test_each_audience_and_each_setting_has_its_own_token(google: Google) -> None:
    cache = TokenCache(google.fetch)
    first = cache.get(Settings(), AUDIENCE)
    other = cache.get(Settings(), "https://other.example")
    account = cache.get(Settings(service_account="a@p.iam.gserviceaccount.com"), AUDIENCE)
    assert [number(t.value) for t in (first, other, account)] == [1, 2, 3]
    assert other.value.endswith("https://other.example")
    assert cache.get(Settings(), AUDIENCE) is first


def test_a_laptop_that_slept(get: Callable[[], str], clocks: Clocks) -> None:
    """The monotonic clock stopped, the wall clock did not."""
    assert number(get()) == 1
    clocks.wall += 7200
    assert number(get()) == 2


def test_a_wall_clock_that_was_set_back(get: Callable[[], str], clocks: Clocks) -> None:
    assert number(get()) == 1
    clocks.monotonic += 3600
    clocks.wall -= 86400
    assert number(get()) == 2


@pytest.fixture
def crowd(google: Google) -> Callable[[], list[Future[IdentityToken]]]:
    """Return a function that requests one token in 20 threads, and lets Google answer when all threads need it."""

    def run() -> list[Future[IdentityToken]]:
        cache, google.gate = TokenCache(google.fetch), threading.Event()
        entry, lock = _Entry(), CountingLock()
        entry.lock = lock  # type: ignore[assignment]
        cache._entries[Settings(), AUDIENCE] = entry
        with ThreadPoolExecutor(20) as pool:
            tokens = [pool.submit(cache.get, Settings(), AUDIENCE) for _ in range(20)]
            try:
                until(lambda: lock.acquired == 20)
            finally:
                google.gate.set()
        return tokens

    return run


class CountingLock:
    """A lock that counts the threads that asked for it."""

    def __init__(self) -> None:
        self._lock, self.acquired = threading.Lock(), 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return self._lock.acquire(blocking=blocking)

    def release(self) -> None:
        self._lock.release()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Not with `time`, which a test may have replaced."""
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition was not met in 30 seconds")


def test_concurrent_first_requests_cause_one_refresh(google: Google, crowd: Callable[..., Any]) -> None:
    assert {number(token.result().value) for token in crowd()} == {1}
    assert google.issued == 1


def test_concurrent_first_requests_share_a_failure(google: Google, crowd: Callable[..., Any]) -> None:
    google.works = False
    assert all("backend error" in str(token.exception()) for token in crowd())
    assert google.failed == 1


def test_the_request_after_a_failure_tries_again(google: Google, get: Callable[[], str]) -> None:
    google.works = False
    with pytest.raises(AuthenticationError, match="backend error"):
        get()
    google.works = True
    assert number(get()) == 1


def test_threads_use_the_valid_token_during_a_refresh(google: Google, get: Callable[[], str], clocks: Clocks) -> None:
    get()
    clocks.advance(3600 - MARGIN)
    google.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        refreshing = pool.submit(get)
        try:
            assert google.entered.wait(30)
            assert number(pool.submit(get).result(30)) == 1
        finally:
            google.gate.set()
        assert number(refreshing.result()) == 2
    assert number(get()) == 2


def test_a_failed_refresh_keeps_the_valid_token(
    google: Google, get: Callable[[], str], clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    token = get()
    clocks.advance(3600 - MARGIN)
    google.works = False
    with caplog.at_level(logging.WARNING, "mlflow_gcp_auth"):
        assert get() == token
    assert "a@example.com is still valid" in caplog.text
    assert "backend error" in caplog.text
    assert token not in caplog.text
    clocks.advance(RETRY - 1)
    assert (get(), google.failed) == (token, 1)
    clocks.advance(1)
    assert (get(), google.failed) == (token, 2)
    google.works = True
    clocks.advance(RETRY)
    assert number(get()) == 2


def test_an_expired_token_is_never_used(google: Google, get: Callable[[], str], clocks: Clocks) -> None:
    get()
    google.works = False
    clocks.advance(3600)
    with pytest.raises(AuthenticationError, match="backend error"):
        get()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
def test_a_fork_during_a_refresh(google: Google) -> None:
    """The forked process has no thread that would release the lock."""
    cache = TokenCache(google.fetch)
    google.gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(cache.get, Settings(), AUDIENCE)
        try:
            assert google.entered.wait(30)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    google.gate = None
                    cache.after_fork()
                    code = number(cache.get(Settings(), AUDIENCE).value) - 1
                finally:
                    os._exit(code)
            try:
                until(lambda: os.waitpid(pid, os.WNOHANG) == (pid, 0))
            finally:
                kill(pid)
        finally:
            google.gate.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
def test_a_forked_process_replaces_the_locks() -> None:
    with auth._TOKENS._lock:
        pid = os.fork()
        if pid == 0:
            os._exit(auth._TOKENS._lock.locked())
    assert os.waitpid(pid, 0) == (pid, 0)


def kill(pid: int) -> None:
    """End a forked process that waits for a lock."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
