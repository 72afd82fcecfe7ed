# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The base of every service: the cloud, calls and handlers, operations, the life cycle of resources."""
