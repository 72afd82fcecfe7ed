# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Prepare Ansible's loader for imports from the collection."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

# Before any import from the collection: Ansible's loader does not continue an import that Python's loader started.
init_plugin_loader([str(Path(__file__).parents[1] / "collections")])

# MLflow reads this when it is imported. Its telemetry sends requests in a thread, also during later tests.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
