# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The real machines, databases and network of the local cloud, and an in-memory stand-in for contract tests."""
