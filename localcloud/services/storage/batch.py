# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of calls."""

from __future__ import annotations

from localcloud.framework.batch import batch
from localcloud.services.storage.api import api

api.route("POST", r"/batch(?:/storage/v1)?", anonymous=True)(batch)
