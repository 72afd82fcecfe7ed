# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""OAuth 2: issues access tokens to service accounts and users; returns information about tokens and keys."""
