# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's IAM: projects, service accounts, tokens, roles, policies and conditions."""
