# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Tell MLflow the user of a request: the `authorization_function` of the modes with single sign-on."""

from __future__ import annotations

from flask import Response
from mlflow.server import auth
from werkzeug.datastructures import Authorization

from .caller import CALLER, Caller
from .credentials import basic


def authenticate() -> Authorization | Response:
    """Return the user of the current request, or a response that refuses it."""
    caller = CALLER.get()
    if caller is None:
        return Response("Authenticate first.", 401)
    check(caller)
    authorization: Authorization | Response = caller.authorization
    return authorization


def check(caller: Caller) -> None:
    """Set the authorization of a caller, unless it is set. Blocks for a password."""
    if caller.authorization is not None:
        return
    if caller.credential is None:
        caller.authorization = Authorization("identity", {"username": caller.username})
        return
    # MLflow's own check reads a request. The current request may have the key of a model provider in Authorization.
    with auth.app.test_request_context(headers={"Authorization": basic(caller.credential).decode()}):
        caller.authorization = auth.authenticate_request_basic_auth()
