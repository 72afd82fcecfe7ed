# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check credentials before MLflow handles a request.

MLflow answers 500 to some malformed credentials, and clients repeat such a request for minutes. This check answers 401.
MLflow checks accepted credentials again, so this check can refuse access but never grant it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limit import Credential, SignInLimit

MAXIMAL_LENGTH = 4096
"""Maximal bytes of a header with a credential."""
GATEWAY = "/gateway/"
"""Routes on which `Authorization` may hold the key of a model provider. `GATEWAY_HEADER` then holds the credential."""
GATEWAY_HEADER = b"x-mlflow-authorization"


class MalformedError(Exception):
    """A credential holds no valid user name and password."""


def parse(header: bytes) -> Credential:
    """Return the user name and password of a `Basic` credential (RFC 7617), or raise MalformedError."""
    if len(header) > MAXIMAL_LENGTH:
        raise MalformedError(f"it is longer than {MAXIMAL_LENGTH} bytes")
    scheme, space, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or not space:
        raise MalformedError("only the scheme Basic is accepted")
    try:
        text = base64.b64decode(encoded.strip(b" "), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise MalformedError("it is not the base64 form of UTF-8 text") from None
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise MalformedError("it holds no user name, colon and password")
    # PostgreSQL refuses NUL. RFC 7617 forbids all control characters.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MalformedError("it holds a control character")
    return Credential(username, password)


def refusal(status: HTTPStatus, error_code: str, message: str, **headers: str) -> JSONResponse:
    """Return an error response in the format of MLflow's clients."""
    return JSONResponse({"error_code": error_code, "message": message}, status, headers)


def unauthenticated(message: str) -> JSONResponse:
    """Return 401, for which a browser asks for user name and password."""
    headers = {"WWW-Authenticate": 'Basic realm="mlflow"'}
    return refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message, **headers)


class CredentialCheck:
    """An ASGI application in front of MLflow's.

    Args:
        app: MLflow's application.
        limit: Counts the attempts of each address.
        authenticate: Returns whether user name and password are correct. Takes tens of milliseconds.
        is_public: Returns whether a path needs no credential.
        job_token: Password of MLflow's own jobs on the gateway's routes; empty without jobs.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: SignInLimit,
        authenticate: Callable[[str, str], bool],
        is_public: Callable[[str], bool],
        job_token: str = "",
    ) -> None:
        self._app, self._limit = app, limit
        self._authenticate, self._is_public = authenticate, is_public
        self._job_token = job_token
        # One thread, so that password guessing uses at most one CPU and never blocks the event loop.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sign-in")
        # Concurrent requests with the same credential share one check.
        self._checks: dict[Credential, asyncio.Future[bool]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or self._is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            credential = self._credential(scope)
        except MalformedError as error:
            await unauthenticated(f"The credential is not valid: {error}.")(scope, receive, send)
            return
        if credential is None:
            message = "Sign in with user name and password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            await unauthenticated(message)(scope, receive, send)
            return
        answer = None if self._is_job(scope, credential) else await self._check(scope, credential)
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.UNAUTHORIZED:
                self._limit.refused(credential)
            await send(message)

        await self._app(scope, receive, watched)

    def _credential(self, scope: Scope) -> Credential | None:
        """Return the credential that MLflow will check, None if there is none, or raise MalformedError."""
        names = [b"authorization"]
        if scope["path"].startswith(GATEWAY):
            names.insert(0, GATEWAY_HEADER)
        for name in names:
            values = [value for key, value in scope["headers"] if key == name]
            if len(values) > 1:
                raise MalformedError(f"the header {name.decode()} was sent {len(values)} times")
            if values and values[0]:
                return parse(values[0])
        return None

    def _is_job(self, scope: Scope, credential: Credential) -> bool:
        """Return whether the request comes from one of MLflow's own jobs."""
        token = self._job_token.encode()
        return (
            bool(token)
            and scope["path"].startswith(GATEWAY)
            and secrets.compare_digest(credential.password.encode(), token)
        )

    async def _check(self, scope: Scope, credential: Credential) -> JSONResponse | None:
        """Return the error response for a credential, None if MLflow shall handle the request."""
        if self._limit.knows(credential):
            return None
        # uvicorn reads the client from X-Forwarded-For, which nginx overwrites.
        address = (scope.get("client") or [""])[0]
        check = self._checks.get(credential)
        if check is None:
            if wait := self._limit.admit(address, credential):
                message = f"Too many wrong passwords from this address. Try again in {wait} seconds."
                headers = {"Retry-After": str(wait)}
                return refusal(HTTPStatus.TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED", message, **headers)
            check = self._checks[credential] = asyncio.ensure_future(self._verify(address, credential))
            check.add_done_callback(lambda _: self._checks.pop(credential))
        try:
            # The check is shared, so a disconnected client must not cancel it.
            right = await asyncio.shield(check)
        except (MlflowException, SQLAlchemyError):
            # The database does not answer. MLflow reports this error itself.
            return None
        return None if right else unauthenticated("User name or password is wrong.")

    async def _verify(self, address: str, credential: Credential) -> bool:
        right: bool | None = None
        try:
            loop = asyncio.get_running_loop()
            arguments = self._authenticate, credential.username, credential.password
            right = await loop.run_in_executor(self._executor, *arguments)
        finally:
            self._limit.finished(address, credential, right=right)
        return right
