# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rows, load and measurements for the tests of upgrades and for `make bench`."""
