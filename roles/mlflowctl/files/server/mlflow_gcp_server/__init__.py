# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Additions to MLflow's server: single sign-on, a limit for wrong passwords, clear errors of the artifact store.

Runs in the server's processes, in the Python of the release. The launcher adds the parent directory to PYTHONPATH, and
MLflow finds the package by its entry points.
"""
