# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of IAM Credentials."""

from __future__ import annotations

from localcloud.framework.service import Service

api = Service(
    "iamcredentials",
    ("v1",),
    hosts=("www.googleapis.com",),
    callers_project=True,
    # Google's REST reference names this scope, the discovery document does not. google-auth impersonates with it.
    scopes=frozenset({"https://www.googleapis.com/auth/iam"}),
)
