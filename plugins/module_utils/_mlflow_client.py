# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP client for the users, roles and permissions of an MLflow server (``mlflow server --app-name basic-auth``).

Source of the routes: ``mlflow/server/auth/routes.py`` of MLflow 2.22, 3.12 and 3.17. Does not import Ansible.
"""

from __future__ import annotations

import base64
import random
import re
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._errors import Json, ServiceError, seconds_to_wait
from ._retry import Clock, Deadline, Retry

try:
    import requests

    IMPORT_ERROR: str | None = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

Credentials = Callable[["PreparedRequest"], "PreparedRequest"]

V2, V3 = "api/2.0/mlflow", "api/3.0/mlflow"
DEFAULT_WORKSPACE = "default"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
UNAVAILABLE = frozenset({429, 502, 503, 504})  # repeated until the deadline
FEW_ATTEMPTS = 4  # after a failed connection or a 500, so that a permanent fault is reported in seconds


class MlflowError(ServiceError):
    """An error of an MLflow server or of the connection. ``reason`` is MLflow's error code, or empty.

    MLflow answers 400 to the creation of an existing object. Here its ``code`` is 409, as at other services.
    """

    def __init__(self, code: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        label = ", ".join(part for part in (f"HTTP {code}" if code else "", reason) if part)
        super().__init__(f"{message} ({label})" if label else message)
        self.code = 409 if reason == "RESOURCE_ALREADY_EXISTS" else code
        self.reason, self.message, self.retry_after = reason, message, retry_after

    @property
    def absent(self) -> bool:
        """Return whether MLflow reports that the object does not exist. A missing route is another 404."""
        return self.reason == "RESOURCE_DOES_NOT_EXIST"


def basic(username: str, password: str) -> Credentials:
    """Return the credentials of an MLflow user. They have precedence over ``~/.netrc``."""
    return _header("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())


def bearer(token: str) -> Credentials:
    """Return the credentials of a token. They have precedence over ``~/.netrc``."""
    return _header(f"Bearer {token}")


def _header(value: str) -> Credentials:
    def authorize(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = value
        return request

    return authorize


class MlflowClient:
    """JSON requests in one session. ``timeout`` (seconds) is the deadline for all requests and pauses together.

    ``verify`` is a path of CA certificates, True for the CAs of the control node, or False for no verification.
    """

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        *,
        workspace: str = DEFAULT_WORKSPACE,
        verify: str | bool = True,
        timeout: float = 120.0,
        clock: Clock | None = None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.uri, self.credentials, self.verify, self.rand = uri.rstrip("/"), credentials, verify, rand
        # A server without workspaces refuses the header, and a server with workspaces knows the default workspace.
        self.headers = {} if workspace == DEFAULT_WORKSPACE else {"X-MLFLOW-WORKSPACE": workspace}
        self.session = requests.Session()
        self.clock = clock or Clock()
        self.deadline = Deadline.after(self.clock, timeout)

    def retry(self, *, first: float = 1.0, longest: float = 8.0) -> Retry:
        """Return the attempts of a new action, which end at this client's deadline."""
        return Retry(self.clock, self.deadline.left, self.rand, first, longest)

    def get(self, path: str, **query: Any) -> Json:
        """Get one document."""
        return self.request("GET", path, query=query)

    def find(self, path: str, **query: Any) -> Json | None:
        """Get one document, or None if MLflow reports that the object does not exist."""
        try:
            return self.get(path, **query)
        except MlflowError as error:
            if error.absent:
                return None
            raise

    def remove(self, method: str, path: str, body: Json) -> None:
        """Send a request that removes an object. The object may be absent, because a response may have been lost."""
        try:
            self.request(method, path, body)
        except MlflowError as error:
            if not error.absent:
                raise

    def accepts(self, username: str, password: str) -> bool:
        """Return whether the password of a user is correct. Changes nothing: each user may read its own entry."""
        try:
            self.request("GET", f"{V2}/users/get", query={"username": username}, auth=basic(username, password))
        except MlflowError as error:
            if error.code == 401:
                return False
            raise
        return True

    def version(self) -> tuple[int, int]:
        """Return the major and minor version of the server."""
        text = self._retried(lambda: self._send("GET", "version", self.credentials)).text
        match = re.match(r"(\d+)\.(\d+)\.", text)
        if not match:
            raise MlflowError(0, "notMlflow", f"the response to GET {self.uri}/version is not a version: {text[:80]!r}")
        return int(match[1]), int(match[2])

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        auth: Credentials | None = None,
    ) -> Json:
        """Send one request and return its JSON. Repeat the request after temporary errors. Raises MlflowError."""
        auth = auth or self.credentials
        return _json(self._retried(lambda: self._send(method, path, auth, params=dict(query or {}), json=body)))

    def _retried(self, send: Callable[[], Response]) -> Response:
        retry = self.retry()

        def repeat_for(error: MlflowError) -> float:
            seconds = self.deadline.seconds
            if error.reason == "connection" or error.code == 500:
                return seconds if retry.attempts + 1 < FEW_ATTEMPTS else 0.0
            return seconds if error.code in UNAVAILABLE else 0.0

        return retry.call(send, repeat_for=repeat_for)

    def _send(self, method: str, path: str, auth: Credentials, **kwargs: Any) -> Response:
        timeout = (CONNECT_TIMEOUT, max(1.0, min(READ_TIMEOUT, self.deadline.left())))
        try:
            response = self.session.request(
                method,
                f"{self.uri}/{path}",
                auth=auth,
                headers=self.headers,
                verify=self.verify,
                timeout=timeout,
                allow_redirects=False,  # a login page would be read as an answer
                **kwargs,
            )
        except requests.exceptions.SSLError as error:
            raise MlflowError(0, "tls", _text(error)) from error
        except requests.exceptions.RequestException as error:
            raise MlflowError(0, "connection", _text(error)) from error
        except OSError as error:  # a missing file of CA certificates
            raise MlflowError(0, "tls", _text(error)) from error
        if 300 <= response.status_code < 400:
            location = response.headers.get("Location", "").split("?")[0]  # the query may contain a token
            message = f"the server redirects to {location}"
            raise MlflowError(response.status_code, "redirect", message)
        if response.status_code >= 400:
            raise _error_of(response)
        return response


def _error_of(response: Response) -> MlflowError:
    wait = seconds_to_wait(response)
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict) or "error_code" not in document:  # text of MLflow or a page of a proxy
        visible = re.sub(r"(?is)<(title|style|script)\b.*?</\1>|<[^>]*>", " ", response.text)
        text = " ".join(visible.split())[:200] or response.reason
        return MlflowError(response.status_code, "", text, retry_after=wait)
    message = str(document.get("message") or response.reason)
    # MLflow quotes the failed SQL statement with its parameters, for a user with the hash of the password.
    message = re.split(r"\s*(?:Error: )?\(\w+(?:\.\w+)+\)|\s*\[SQL:", message)[0]
    return MlflowError(response.status_code, str(document["error_code"]), message, retry_after=wait)


def _json(response: Response) -> Json:
    if not response.content:
        return {}
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise MlflowError(response.status_code, "notMlflow", f"the response is not MLflow's: {response.text[:80]!r}")
    return answer


def _text(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())[:500]
