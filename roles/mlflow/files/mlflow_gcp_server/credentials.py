# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check credentials before MLflow sees a request.

MLflow answers 500 to some malformed credentials, which clients repeat for minutes. Here each gets 401. What passes is
checked by MLflow once more, so this check can refuse, but never grant access.
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
"""Bytes of a header that may be a credential."""
GATEWAY = "/gateway/"
"""Routes on which `Authorization` may hold the key of a model provider, and MLflow's credential stands elsewhere."""
GATEWAY_HEADER = b"x-mlflow-authorization"


class MalformedError(Exception):
    """No user name and password can be read from a credential."""


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
    # PostgreSQL takes no NUL; RFC 7617 allows no control characters at all.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MalformedError("it holds a control character")
    return Credential(username, password)


def refusal(status: HTTPStatus, error_code: str, message: str, **headers: str) -> JSONResponse:
    """Return an answer that MLflow's clients understand."""
    return JSONResponse({"error_code": error_code, "message": message}, status, headers)


def unauthenticated(message: str) -> JSONResponse:
    """Return 401. The browser asks for user name and password."""
    headers = {"WWW-Authenticate": 'Basic realm="mlflow"'}
    return refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message, **headers)


class CredentialCheck:
    """An ASGI application in front of MLflow's.

    Args:
        app: MLflow's application.
        limit: Counts the tries of each address.
        authenticate: Tells whether user name and password are right. Takes tens of milliseconds.
        is_public: Tells whether a path needs no credential.
        job_token: Password that MLflow's own jobs use on the gateway's routes; empty without jobs.
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
        # One unknown password at a time: guessing never takes more than one CPU, and never the event loop.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sign-in")
        # Requests that arrive together with one credential share one check.
        self._checks: dict[Credential, asyncio.Future[bool]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or self._is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            credential = self._credential(scope)
        except MalformedError as error:
            await unauthenticated(f"The credential cannot be used: {error}.")(scope, receive, send)
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
        """Return the credential that MLflow will check, None where there is none, or raise MalformedError."""
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
        """Whether one of MLflow's own jobs asks."""
        token = self._job_token.encode()
        return (
            bool(token)
            and scope["path"].startswith(GATEWAY)
            and secrets.compare_digest(credential.password.encode(), token)
        )

    async def _check(self, scope: Scope, credential: Credential) -> JSONResponse | None:
        """Return the refusal of a credential, None where MLflow shall see it."""
        if self._limit.knows(credential):
            return None
        # nginx overwrites X-Forwarded-For, from which uvicorn knows the client.
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
            # A client that goes away must not end the check that others wait for.
            right = await asyncio.shield(check)
        except (MlflowException, SQLAlchemyError):
            # The database does not answer. MLflow says so in its own words.
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
