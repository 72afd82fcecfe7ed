# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Resource Manager: projects and their IAM policies, as v1 and v3 show them."""
