# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google identity tokens for MLflow clients.

MLflow finds this package by its entry point: set ``MLFLOW_TRACKING_AUTH=google``. Other clients that use requests can
pass an :class:`IdentityTokenAuth` as `auth`.
"""

from mlflow_gcp_auth.auth import IdentityTokenAuth
from mlflow_gcp_auth.errors import AuthenticationError
from mlflow_gcp_auth.provider import GoogleAuthProvider
from mlflow_gcp_auth.settings import Settings

__all__ = ["AuthenticationError", "GoogleAuthProvider", "IdentityTokenAuth", "Settings"]
