# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The user of the current request. The credential check sets it, and `identity.authenticate` tells it to MLflow.

MLflow's threads inherit the context variable. No header of a request can replace it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .limit import Credential


@dataclass
class Caller:
    """The user of one request."""

    username: str
    credential: Credential | None = None
    """The password that MLflow must check. None if the user is verified."""
    authorization: Any = None
    """Result of the check. MLflow asks for it several times in a request."""
    changes_users: bool = False
    """Whether the route changes users. Then each read is a new one."""
    user: Any = None
    """MLflow's user in the database, once it was read."""


CALLER: ContextVar[Caller | None] = ContextVar("mlflow_gcp_caller", default=None)


def once_per_request(get_user: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that reads the user of a request once. MLflow reads it for each check of a permission."""

    def read(username: str) -> Any:
        caller = CALLER.get()
        if caller is None or caller.changes_users or caller.username != username:
            return get_user(username)
        if caller.user is None:
            caller.user = get_user(username)
        return caller.user

    return read
