# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compute Engine: networks, firewall rules, addresses, VM instances and related resources, one file for each kind."""
