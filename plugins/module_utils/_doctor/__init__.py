# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of one deployment. Each file holds the checks of one subject; checks.py runs all of them."""
