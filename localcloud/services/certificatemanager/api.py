# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Certificate Manager and functions that its collections share."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Service
from localcloud.services.compute import catalog

api = Service("certificatemanager", ("v1",), durations={"certificatemanager.*": 6.0})


def name_of(call: Call, name: str) -> str:
    """Return the name of a resource with the project's id, even if the caller used the number. Checks the location."""
    parts = name.split("/")
    location = parts[3]
    if location != "global" and location not in catalog.REGIONS:
        raise ApiError(403, None, f"Permission denied on 'locations/{location}' (or it may not exist).")
    return "/".join(["projects", call.project or "", *parts[2:]])
