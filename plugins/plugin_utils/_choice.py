# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Select a row of a table by the value of a role variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

# Prefix of the names of roles in playbooks outside this repository.
COLLECTION = "mlops.mlflow_gcp"
Row = TypeVar("Row")


class UnknownChoiceError(ValueError):
    """A role variable has a value that no row of its table has."""


def choose(variable: str, value: object, table: Mapping[str, Row]) -> Row:
    """Return the row for the value; raise UnknownChoiceError with the possible values."""
    if not isinstance(value, str) or value not in table:
        raise UnknownChoiceError(f"{variable} is {value!r}. Set {variable} to one of: {', '.join(table)}.")
    return table[value]
