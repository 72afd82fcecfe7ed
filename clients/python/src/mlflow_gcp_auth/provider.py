# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The plugin that MLflow loads for `MLFLOW_TRACKING_AUTH=google`."""

from __future__ import annotations

from mlflow_gcp_auth.auth import IdentityTokenAuth


class GoogleAuthProvider:
    """A request auth provider of MLflow.

    MLflow calls both methods at every request and needs no base class. Without the base class, this package also works
    where MLflow is not installed.
    """

    def get_name(self) -> str:
        """Return the value of MLFLOW_TRACKING_AUTH that selects this provider."""
        return "google"

    def get_auth(self) -> IdentityTokenAuth:
        """Return the authentication of one request."""
        return IdentityTokenAuth()
