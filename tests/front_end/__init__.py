# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The front end on the loopback interface: nginx, OAuth2-Proxy, an identity provider, and a stand-in for MLflow."""
