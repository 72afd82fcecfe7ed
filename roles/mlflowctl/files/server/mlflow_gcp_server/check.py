# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the credential of each request before MLflow handles it.

MLflow answers 500 to some malformed credentials, and clients repeat such a request for minutes. This check answers 401.
MLflow checks a password again, so this check can refuse a password but never accept it. An identity is accepted here:
only nginx knows the secret.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import credentials, responses
from .audit import Audit, Decision
from .caller import CALLER, Caller
from .credentials import GATEWAY, MalformedError, SentIdentity
from .identity_rules import RefusedError
from .limit import Credential, SignInLimit
from .single_sign_on import USERS, SingleSignOn

BASIC_HINT = "Sign in with user name and password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
SINGLE_SIGN_ON_HINT = (
    "Sign in with a browser, or send the ID token of a permitted account, or the name and the password of an MLflow"
    " user."
)


class CredentialCheck:
    """An ASGI application in front of MLflow's.

    Args:
        app: MLflow's application.
        limit: Counts the attempts of each address.
        authenticate: Returns whether user name and password are correct. Takes tens of milliseconds.
        is_public: Returns whether a path needs no credential.
        job_token: Password of MLflow's own jobs on the gateway's routes; empty without jobs.
        single_sign_on: Accepts identities. None: MLflow accepts only passwords.
        audit: Logs each decision. None: no log.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: SignInLimit,
        authenticate: Callable[[str, str], bool],
        is_public: Callable[[str], bool],
        job_token: str = "",
        single_sign_on: SingleSignOn | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._app, self._limit = app, limit
        self._authenticate, self._is_public = authenticate, is_public
        self._job_token = job_token
        self._single_sign_on, self._audit = single_sign_on, audit
        # One thread, so that password guessing uses at most one CPU and never blocks the event loop.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sign-in")
        # Concurrent requests with the same credential share one check.
        self._checks: dict[Credential, asyncio.Future[bool]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" or self._is_public(scope["path"]):
            await self._app(credentials.without_identity(scope), receive, self._with_challenge(send))
            return
        decision = Decision()
        decided = await self._decide(scope, decision)
        if isinstance(decided, Caller):
            await self._serve(scope, receive, send, decided, decision)
            return
        self._record(scope, decision, decided.status_code)
        await decided(scope, receive, send)

    def _record(self, scope: Scope, decision: Decision, status: int | None) -> None:
        if self._audit:
            self._audit.record(scope, decision, status)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: Caller, decision: Decision) -> None:
        """Let MLflow handle a request. MLflow checks a password again."""
        credential, recorded = caller.credential, False

        async def watched(message: Message) -> None:
            nonlocal recorded
            if message["type"] == "http.response.start":
                self._record(scope, decision, message["status"])
                recorded = True
                # Before the client gets the response, and may send the next request.
                if self._single_sign_on:
                    self._single_sign_on.served(scope["path"])
                if credential and message["status"] == HTTPStatus.UNAUTHORIZED:
                    self._limit.refused(credential)
            await send(message)

        passed = credentials.for_mlflow(
            credentials.without_identity(scope),
            credential or Credential(caller.username, ""),
            single_sign_on=self._single_sign_on is not None,
        )
        caller.changes_users = USERS in scope["path"]
        token = CALLER.set(caller)
        try:
            await self._app(passed, receive, self._with_challenge(watched))
        finally:
            CALLER.reset(token)
            if not recorded:
                self._record(scope, decision, None)

    def _with_challenge(self, send: Send) -> Send:
        """Replace the challenge in MLflow's responses, for which a browser asks for a password."""
        if self._single_sign_on is None:
            return send
        name = b"www-authenticate"

        async def replaced(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.UNAUTHORIZED:
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() != name]
                message = {**message, "headers": [*kept, (name, responses.BEARER_CHALLENGE.encode())]}
            await send(message)

        return replaced

    async def _decide(self, scope: Scope, decision: Decision) -> Caller | Response:
        """Return the caller of a request, or the response that refuses it. Completes the decision."""
        try:
            credential = credentials.read(scope, identities=self._single_sign_on is not None)
            if isinstance(credential, SentIdentity) and self._single_sign_on:
                return Caller(await self._single_sign_on.username(credential, decision))
        except MalformedError as error:
            decision.reason = str(error)
            return self._unauthenticated(f"The credential is not valid: {error}.")
        except RefusedError as error:
            decision.reason = str(error)
            return responses.forbidden(scope, str(error))
        except (MlflowException, SQLAlchemyError) as error:
            decision.result, decision.reason = "unavailable", type(error).__name__
            return responses.unavailable()
        if not isinstance(credential, Credential):
            decision.reason = "no credential"
            return self._unauthenticated(SINGLE_SIGN_ON_HINT if self._single_sign_on else BASIC_HINT)
        decision.user = credential.username
        if self._is_job(scope, credential):
            decision.method = "job"
            return Caller(credential.username)
        decision.method = "basic"
        return await self._check(scope, credential, decision) or Caller(credential.username, credential)

    def _unauthenticated(self, message: str) -> Response:
        return responses.unauthenticated(message, single_sign_on=self._single_sign_on is not None)

    def _is_job(self, scope: Scope, credential: Credential) -> bool:
        """Return whether the request comes from one of MLflow's own jobs."""
        token = self._job_token.encode()
        return (
            bool(token)
            and scope["path"].startswith(GATEWAY)
            and secrets.compare_digest(credential.password.encode(), token)
        )

    async def _check(self, scope: Scope, credential: Credential, decision: Decision) -> Response | None:
        """Return the error response for a credential, None if MLflow shall handle the request."""
        if self._limit.knows(credential):
            return None
        # uvicorn reads the client from X-Forwarded-For, which nginx overwrites.
        address = (scope.get("client") or [""])[0]
        check = self._checks.get(credential)
        if check is None:
            if wait := self._limit.admit(address, credential):
                decision.reason = "too many wrong passwords"
                return responses.too_many(wait)
            check = self._checks[credential] = asyncio.ensure_future(self._verify(address, credential))
            check.add_done_callback(lambda _: self._checks.pop(credential))
        try:
            # The check is shared, so a disconnected client must not cancel it.
            right = await asyncio.shield(check)
        except (MlflowException, SQLAlchemyError):
            # The database does not answer. MLflow reports this error itself.
            return None
        if right:
            return None
        decision.reason = "wrong user name or password"
        return self._unauthenticated("User name or password is wrong.")

    async def _verify(self, address: str, credential: Credential) -> bool:
        right: bool | None = None
        try:
            loop = asyncio.get_running_loop()
            arguments = self._authenticate, credential.username, credential.password
            right = await loop.run_in_executor(self._executor, *arguments)
        finally:
            self._limit.finished(address, credential, right=right)
        return right
