# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of Service Networking."""

from __future__ import annotations

from localcloud.framework.service import Service

api = Service("servicenetworking", ("v1",), callers_project=True, durations={"servicenetworking.*": 45.0})
