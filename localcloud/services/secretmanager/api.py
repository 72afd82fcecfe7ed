# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Secret Manager."""

from __future__ import annotations

from localcloud.framework.service import Service

api = Service("secretmanager", ("v1",), conditions_by_number=True)
