# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM Credentials: tokens and signatures of service accounts for callers that may impersonate the accounts."""
