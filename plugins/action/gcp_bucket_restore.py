# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module gcp_bucket_restore and shows how far it is."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._progress import ProgressAction


class ActionModule(ProgressAction):
    """The module of the same name."""
