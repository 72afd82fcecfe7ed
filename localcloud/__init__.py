# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A local stand-in for Google Cloud: Google's published contract, real machines, real tokens."""
