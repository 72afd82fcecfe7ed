# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's application with authentication, and the credential check in front of it."""

from __future__ import annotations

import os

import anyio.to_thread
from mlflow.server import auth
from starlette.types import ASGIApp, Receive, Scope, Send

from .credentials import CredentialCheck
from .limit import SignInLimit


class ThreadLimit:
    """Limits the concurrent requests of a worker process.

    A request may hold one database connection and wait for a second one. With fewer threads than pooled connections,
    requests cannot block each other.
    """

    def __init__(self, app: ASGIApp, threads: int) -> None:
        self._app, self._threads = app, threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the limit of the event loop when the process starts."""
        if scope["type"] == "lifespan":
            anyio.to_thread.current_default_thread_limiter().total_tokens = self._threads
        await self._app(scope, receive, send)


def create_app() -> ThreadLimit:
    """Return the ASGI application that uvicorn serves, one for each worker process."""
    checked = CredentialCheck(
        auth.create_app(),
        limit=SignInLimit(),
        authenticate=auth.store.authenticate_user,
        is_public=auth.is_unprotected_route,
        # MLflow sets this variable if background jobs are enabled: the password of its jobs for the gateway.
        job_token=os.environ.get("_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN", ""),
    )
    return ThreadLimit(checked, int(os.environ["MLFLOW_GCP_SERVER_THREADS"]))
