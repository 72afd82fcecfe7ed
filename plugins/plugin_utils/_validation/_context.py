# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the checks know besides the role variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """Properties of the VM and of the control node."""

    cpus: int
    """CPUs that the VM reports, 0 if they are unknown."""
    find: Callable[[str], Path | None]
    """Return a file of the control node, None if there is no such file. The lookup `file` searches the same places."""
