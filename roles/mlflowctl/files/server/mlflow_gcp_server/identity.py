# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Tell MLflow the user of a request: the `authorization_function` of the modes with single sign-on."""

from __future__ import annotations

from contextlib import suppress

import anyio.to_thread
from flask import Response, has_request_context, request
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.datastructures import Authorization

from .caller import CALLER, Caller
from .credentials import basic


class PasswordCheck:
    """An ASGI application that checks passwords in a thread. MLflow's FastAPI application would block the event loop.

    Flask asks for the user in a thread, so the direct way to Flask does not need this check.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the password of a request, if it has one, and serve the request."""
        caller = CALLER.get()
        if caller and caller.credential:
            # MLflow asks again, and reports the error of its database.
            with suppress(MlflowException, SQLAlchemyError):
                await anyio.to_thread.run_sync(_check, caller)
        await self._app(scope, receive, send)


def authenticate() -> Authorization | Response:
    """Return the user of the current request, or a response that refuses it."""
    caller = CALLER.get()
    if caller is None:
        return Response("Authenticate first.", 401)
    _check(caller)
    authorization: Authorization | Response = caller.authorization
    return authorization


def _check(caller: Caller) -> None:
    """Set the authorization of a caller, unless it is set. Blocks for a password."""
    if caller.authorization is not None:
        return
    if caller.credential is None:
        caller.authorization = Authorization("identity", {"username": caller.username})
        return
    # MLflow's own check reads a request.
    header = basic(caller.credential).decode()
    if has_request_context() and request.headers.get("Authorization") == header:
        caller.authorization = auth.authenticate_request_basic_auth()
        return
    # The current request may have the key of a model provider in Authorization.
    with auth.app.test_request_context(headers={"Authorization": header}):
        caller.authorization = auth.authenticate_request_basic_auth()
