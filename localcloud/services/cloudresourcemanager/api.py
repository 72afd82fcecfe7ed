# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The services of Resource Manager: v1 and v3 show projects in different forms."""

from __future__ import annotations

from localcloud.access.refusals import Refusals
from localcloud.core.errors import ApiError
from localcloud.framework.service import Service


class _Refusals(Refusals):
    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of v1, which names no permission."""
        return ApiError(403, None, "The caller does not have permission")


v1 = Service("cloudresourcemanager", ("v1",), callers_project=True, refusals=_Refusals())
v3 = Service("cloudresourcemanager", ("v3",), callers_project=True)
