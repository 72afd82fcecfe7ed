# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names and marks of the databases that an upgrade or a rollback keeps."""

from __future__ import annotations

MAINTENANCE = "postgres"
MARK = "mlflow upgrade "
# A rollback can make a kept database active again.
KEPT_SUFFIXES = ("", "_before", "_failed")


def before(name: str) -> str:
    """Return the name under which `copy` keeps a database."""
    return f"{name}_before"


def failed(name: str) -> str:
    """Return the name under which `restore` keeps a database that a server has written to."""
    return f"{name}_failed"


def fresh(name: str) -> str:
    """Return the name of an unfinished copy."""
    return f"{name}_fresh"


def discarded(name: str) -> str:
    """Return the name of a database that is going to be dropped."""
    return f"{name}_discarded"


def mark_in(comment: str) -> str | None:
    """Return the upgrade in the first line of a database comment."""
    first = comment.split("\n", 1)[0]
    return first.removeprefix(MARK) if first.startswith(MARK) else None
