# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of IAM, and its constraint of organization policies."""

from __future__ import annotations

from localcloud.core.errors import Dialect
from localcloud.framework.service import Service

NO_KEYS = "constraints/iam.disableServiceAccountKeyCreation"

api = Service("iam", ("v1",), callers_project=True, dialect=Dialect.BOTH, constraints={NO_KEYS: False})
