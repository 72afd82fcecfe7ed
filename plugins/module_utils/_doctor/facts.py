# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Facts that the role collected on the VM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .remedies import CONFIGURE
from .results import NotCheckedError, one_line


def part(facts: Mapping[str, Any], name: str) -> Any:
    """Return a part of the facts. Raise NotCheckedError if it was not collected."""
    if "error" in facts:
        raise NotCheckedError("the facts of the VM cannot be read", "see the check vm")
    found = facts.get(name)
    if found is None:
        raise NotCheckedError(f"the VM reported nothing about {name}", CONFIGURE)
    if isinstance(found, dict) and set(found) == {"error"}:
        raise NotCheckedError(one_line(found["error"]), CONFIGURE)
    return found
