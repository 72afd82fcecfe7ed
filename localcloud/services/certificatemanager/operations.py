# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Operations of Certificate Manager."""

from __future__ import annotations

from localcloud.framework.location_operations import LocationOperations
from localcloud.services.certificatemanager.api import api

operations = LocationOperations(api, "google.cloud.certificatemanager.v1", ("get", "list", "cancel", "delete"))
