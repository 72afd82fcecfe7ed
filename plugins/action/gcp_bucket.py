# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run the module gcp_bucket and show its progress."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._progress import ProgressAction


class ActionModule(ProgressAction):
    """Progress of the module gcp_bucket."""
