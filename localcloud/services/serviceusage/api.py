# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The services of Service Usage."""

from __future__ import annotations

from localcloud.framework.service import Service

_INITIAL = ("cloudapis", "logging", "monitoring", "servicemanagement", "serviceusage")

api = Service(
    "serviceusage",
    ("v1",),
    callers_project=True,
    enabled_for_users=True,
    initial_apis=tuple(f"{name}.googleapis.com" for name in _INITIAL),
    durations={"serviceusage.*": 8.0},
)
# Terraform polls its operations in this version.
beta = Service("serviceusage", ("v1beta1",), callers_project=True, enabled_for_users=True)
