# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The users of MLflow for identities: created at the first request, administrators as the rules say."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from cachetools import TTLCache
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode

from .identity_rules import User

SECONDS = 5.0
"""Seconds for which a user is not read again. Another process may change or delete the user in this time."""
REMEMBERED = 10_000
"""Maximal number of remembered users."""
PASSWORD_BYTES = 48

_logger = logging.getLogger("mlflow.gcp")


class Store(Protocol):
    """The methods of MLflow's store of users that are used here."""

    def get_user(self, username: str) -> Any:
        """Return a user, or raise RESOURCE_DOES_NOT_EXIST."""

    def create_user(self, username: str, password: str, is_admin: bool = False) -> Any:
        """Create a user, or raise RESOURCE_ALREADY_EXISTS."""

    def update_user(self, username: str, password: str | None = None, is_admin: bool | None = None) -> Any:
        """Change a user."""


def _is(error: MlflowException, code: int) -> bool:
    return bool(error.error_code == ErrorCode.Name(code))


def synchronize(store: Store, user: User, *, admin_username: str) -> None:
    """Create the user, or make `is_admin` equal to the rules. Blocks."""
    try:
        found = store.get_user(user.username)
    except MlflowException as error:
        if not _is(error, RESOURCE_DOES_NOT_EXIST):
            raise
        found = _create(store, user)
    # The administrator of the credential is for emergencies, whatever the identity provider says.
    if user.username != admin_username and found.is_admin != user.is_admin:
        store.update_user(user.username, is_admin=user.is_admin)
        _logger.info("User %s is %s administrator", user.username, "an" if user.is_admin else "no longer an")


def _create(store: Store, user: User) -> Any:
    try:
        # A random password, which is not stored.
        created = store.create_user(user.username, secrets.token_urlsafe(PASSWORD_BYTES), is_admin=user.is_admin)
    except MlflowException as error:
        if not _is(error, RESOURCE_ALREADY_EXISTS):
            raise
        # Another process was faster.
        return store.get_user(user.username)
    _logger.info("Created the user %s at the first request", user.username)
    return created


class Accounts:
    """The users that one worker process has synchronized. Only for the event loop."""

    def __init__(self, store: Store, admin_username: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._admin_username = store, admin_username
        self._is_admin: TTLCache[str, bool] = TTLCache(REMEMBERED, SECONDS, timer=clock)
        # Concurrent requests of one user share one synchronization.
        self._running: dict[User, asyncio.Future[None]] = {}
        # One thread: a flood of first requests uses at most one CPU and one connection.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="accounts")

    async def ensure(self, user: User) -> None:
        """Synchronize a user, unless this was just done with the same result. Raises MLflow's errors."""
        if self._is_admin.get(user.username) is user.is_admin:
            return
        running = self._running.get(user)
        if running is None:
            running = self._running[user] = asyncio.ensure_future(self._synchronize(user))
            running.add_done_callback(lambda _: self._running.pop(user))
        # Other requests wait for the same result, so a disconnected client must not cancel it.
        await asyncio.shield(running)

    async def _synchronize(self, user: User) -> None:
        self._is_admin.pop(user.username, None)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._blocking, user)
        self._is_admin[user.username] = user.is_admin

    def _blocking(self, user: User) -> None:
        synchronize(self._store, user, admin_username=self._admin_username)

    def forget(self) -> None:
        """Read all users again, because a request changed or deleted one."""
        self._is_admin.clear()
