# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A source of identity tokens, as the modules for service accounts and people describe it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One kind of credentials."""

    name: str
    """The account and the kind of its credentials, for messages."""
    remedy: str
    """The remedy if Google refuses a token, for messages."""
    get: Callable[[], str]
    """Request a token from Google."""
