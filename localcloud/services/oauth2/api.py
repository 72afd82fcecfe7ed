# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The service of OAuth."""

from __future__ import annotations

from localcloud.framework.service import Service

api = Service("oauth2", ("v2",), hosts=("www.googleapis.com", "accounts.google.com"), always_on=True)
