# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The user of the current request. The credential check sets it, and `identity.authenticate` tells it to MLflow.

MLflow's threads inherit the context variable. No header of a request can replace it.
"""

from __future__ import annotations

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


CALLER: ContextVar[Caller | None] = ContextVar("mlflow_gcp_caller", default=None)
