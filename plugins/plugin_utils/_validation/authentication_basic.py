# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the role variables of the role authentication_basic."""

from __future__ import annotations

from ._context import Context, Values

OVERLAP = "authentication_basic_password_overlap"


def refusals(values: Values, _context: Context) -> list[str]:
    """Return a message for each refused variable."""
    if int(values[OVERLAP]) >= 0:
        return []
    return [f"{OVERLAP} is {values[OVERLAP]}. Set {OVERLAP} to 0 or more seconds."]
