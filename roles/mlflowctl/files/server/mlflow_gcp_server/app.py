# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's application with authentication, and the credential check in front of it."""

from __future__ import annotations

import os

import anyio.to_thread
from mlflow.server import ARTIFACTS_DESTINATION_ENV_VAR, auth
from starlette.types import ASGIApp, Receive, Scope, Send

from . import artifact_routes, direct_artifacts, identity
from . import settings as package_settings
from .accounts import Accounts
from .audit import Audit
from .caller import once_per_request
from .check import CredentialCheck
from .flask_routes import shortened
from .limit import SignInLimit
from .request_body import RequestBody
from .settings import Settings, SettingsError
from .single_sign_on import SingleSignOn

AUTHENTICATE = "mlflow_gcp_server.identity:authenticate"
"""`authorization_function` with single sign-on."""


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


def check() -> Settings:
    """Return the settings; raise SettingsError unless they and the authorization function are usable.

    MLflow would import the function at the first request, and answer 500 if it is missing.
    """
    function = auth.auth_config.authorization_function
    try:
        auth.get_auth_func(function)
    except Exception as error:
        raise SettingsError(
            f"cannot import authorization_function {function}: {type(error).__name__}: {error}"
        ) from error
    settings = package_settings.read()
    if settings.identity and function != AUTHENTICATE:
        raise SettingsError(f"identity needs authorization_function {AUTHENTICATE}, not {function}")
    return settings


def _single_sign_on(settings: Settings) -> SingleSignOn | None:
    if settings.identity is None:
        return None
    return SingleSignOn(settings.identity, Accounts(auth.store, settings.admin_username))


def _mlflow(settings: Settings) -> ASGIApp:
    app = auth.create_app()
    return shortened(app, identity.PasswordCheck(app) if settings.identity else app)


def permissions_are_checked() -> bool:
    """Return whether MLflow checks the permission of the caller on the routes that create signed URLs."""
    families = ("mpu/create", "mpu/complete", "mpu/abort", "presigned")
    paths = [f"/{prefix}/2.0/mlflow-artifacts/{name}/0/x" for prefix in ("api", "ajax-api") for name in families]
    return hasattr(auth, "_is_proxy_artifact_path") and all(map(auth._is_proxy_artifact_path, paths))


def create_app() -> ThreadLimit:
    """Return the ASGI application that uvicorn serves, one for each worker process."""
    settings = check()
    artifact_routes.add_download()
    if settings.direct_transfers and permissions_are_checked():
        direct_artifacts.allow(os.environ[ARTIFACTS_DESTINATION_ENV_VAR], settings.direct_transfers)
    auth.store.get_user = once_per_request(auth.store.get_user)
    checked = CredentialCheck(
        artifact_routes.RetryAfter(_mlflow(settings)),
        limit=SignInLimit(),
        authenticate=auth.store.authenticate_user,
        is_public=auth.is_unprotected_route,
        # MLflow sets this variable if background jobs are enabled: the password of its jobs for the gateway.
        job_token=os.environ.get("_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN", ""),
        single_sign_on=_single_sign_on(settings),
        audit=Audit() if settings.audit_log else None,
    )
    return ThreadLimit(RequestBody(checked), settings.threads)
