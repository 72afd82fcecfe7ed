# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Which VM an inventory host is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_SELF_LINK = re.compile(r"(?:^|/)projects/([^/]+)/zones/([^/]+)/instances/([^/]+)$")


class Identity(NamedTuple):
    """Project, zone and name: what is unique to a VM in Google Cloud."""

    project: str
    zone: str
    name: str

    def __str__(self) -> str:
        """Return PROJECT/ZONE/NAME."""
        return "/".join(self)


def identity(variables: Mapping[str, Any]) -> Identity | None:
    """Return the VM that a host is, by the variables of the inventory plugin; None for a host of another source.

    ``selfLink`` comes first, because ``compose`` may set ``project`` or ``zone`` to something else.
    """
    if found := _SELF_LINK.search(str(variables.get("selfLink") or "")):
        return Identity(*found.groups())
    values = [str(variables.get(name) or "") for name in ("project", "zone", "instance_name")]
    return Identity(*values) if all(values) else None
