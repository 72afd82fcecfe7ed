# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Emulate Google Cloud on one host: Google's published contract, VMs, databases and tokens."""
