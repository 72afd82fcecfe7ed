# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Remedies for the errors of an MLflow server."""

from __future__ import annotations

from ._mlflow_client import MlflowError

_AUTH_APP = "the server must run MLflow's authentication (`mlflow server --app-name basic-auth`)"


def advice(error: MlflowError, uri: str) -> str:
    """Return one or two sentences, or an empty string if MLflow's own message is sufficient."""
    code, reason = error.code, error.reason
    if reason == "tls":
        return "Set ca_path to the CA certificate of the server. tracking_uri must have a host name of its certificate."
    if reason == "connection":
        return f"Check that the server runs, that tracking_uri ({uri}) is its address, and HTTPS_PROXY."
    if reason == "redirect":
        return "Set tracking_uri to the final address, and use a credential that the server accepts without a browser."
    if reason == "notMlflow":
        return f"Check that tracking_uri ({uri}) is the address of an MLflow server."
    if reason == "FEATURE_DISABLED":
        return "Remove the option workspace, or start the server with MLFLOW_ENABLE_WORKSPACES=true."
    if code == 401:
        return "Check tracking_username and tracking_password, or tracking_token."
    if code == 403 and "host header" in error.message.lower():
        return f"Add the host of tracking_uri ({uri}) to the server's --allowed-hosts."
    if code == 403:
        return "The user of the connection must be an administrator (is_admin) of MLflow."
    if code in {404, 405} and not error.absent:
        return (
            f"Check that tracking_uri ({uri}) is the address of an MLflow server, without a path of the API. Also, "
            f"{_AUTH_APP}, and roles need MLflow 3.12 or newer."
        )
    if code == 429 or code >= 500:
        return "The server is overloaded or has a fault. Read its log, and run again later."
    return ""
