# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM: service accounts with their keys and policies, predefined roles and custom roles of projects."""
