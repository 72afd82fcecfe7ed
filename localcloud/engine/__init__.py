# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VMs, databases and network of the local cloud in containers, and an in-memory engine for contract tests."""
