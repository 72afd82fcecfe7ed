# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A cache of identity tokens for all threads of a process, with a refresh before the expiry."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlflow_gcp_auth.errors import AuthenticationError
from mlflow_gcp_auth.identity_token import IdentityToken
from mlflow_gcp_auth.settings import Settings

logger = logging.getLogger("mlflow_gcp_auth")

MARGIN = 300.0
"""Refresh a token this many seconds before its expiry, so that a server whose clock is fast accepts it too."""
RETRY = 30.0
"""Wait this many seconds after a failed refresh while the present token is valid."""

Fetch = Callable[[Settings, str], IdentityToken]


class TokenCache:
    """Tokens by settings and audience."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._entries: dict[tuple[Settings, str], _Entry] = {}

    def get(self, settings: Settings, audience: str) -> IdentityToken:
        """Return a valid token. Concurrent calls for the same token cause one refresh."""
        with self._lock:
            entry = self._entries.setdefault((settings, audience), _Entry())
        return entry.get(lambda: self._fetch(settings, audience))

    def after_fork(self) -> None:
        """Replace the locks in a forked process: a thread that exists only in the parent process may hold them."""
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.lock = threading.Lock()


class _Entry:
    """One token, and the thread that refreshes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._held: _Held | None = None
        self._failure: AuthenticationError | None = None
        self._attempts = 0

    def get(self, fetch: Callable[[], IdentityToken]) -> IdentityToken:
        # In this order: if a refresh ends between the two, `held` is its token.
        attempts, held = self._attempts, self._held
        if held and held.valid():
            # A valid token is used while another thread refreshes it.
            if not held.due() or not self.lock.acquire(blocking=False):
                return held.token
        else:
            self.lock.acquire()
        try:
            return self._refresh(fetch) if attempts == self._attempts else self._result(fetch)
        finally:
            self.lock.release()

    def _result(self, fetch: Callable[[], IdentityToken]) -> IdentityToken:
        """Return the result of another thread's refresh. Waiting threads do not repeat its failure one by one."""
        if self._held and self._held.valid():
            return self._held.token
        if self._failure:
            raise AuthenticationError(str(self._failure))
        return self._refresh(fetch)

    def _refresh(self, fetch: Callable[[], IdentityToken]) -> IdentityToken:
        age, held = _Stopwatch(), self._held
        try:
            token = fetch()
        except AuthenticationError as error:
            self._failure = error
            self._attempts += 1
            if not held or not held.valid():
                raise
            logger.warning(
                "The identity token of %s is still valid, but was not refreshed. %s", held.token.email, error
            )
            self._held = replace(held, refresh_at=held.age.seconds() + RETRY)
            return held.token
        self._failure = None
        self._held = _Held(token, age, token.lifetime - min(MARGIN, token.lifetime / 2))
        self._attempts += 1
        return token


class _Stopwatch:
    """Seconds since its creation, by the clock that shows more of them.

    The monotonic clock stops while a laptop sleeps. The wall clock can be set back.
    """

    def __init__(self) -> None:
        self._wall, self._monotonic = time.time(), time.monotonic()

    def seconds(self) -> float:
        return max(time.time() - self._wall, time.monotonic() - self._monotonic)


@dataclass(frozen=True)
class _Held:
    """A token and its age. One object, because threads read it without a lock."""

    token: IdentityToken
    age: _Stopwatch
    refresh_at: float

    def valid(self) -> bool:
        return self.age.seconds() < self.token.lifetime

    def due(self) -> bool:
        return self.age.seconds() >= self.refresh_at
