# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Signed URLs of Cloud Storage without a private key.

The IAM Credentials API signs with a key of the VM's service account that Google keeps. The service account needs the
permission iam.serviceAccounts.signBlob on itself. A signed URL is a credential: it must never be logged.
"""

from __future__ import annotations

import base64
import datetime
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import google.auth
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request

ENDPOINT = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials.googleapis.com/")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = 3.0
"""Seconds for a request of a signature."""
PAUSE = 60.0
"""Seconds without direct transfers after a failure, so that not every client waits for the same error."""
CONCURRENT = 32
"""Concurrent requests. Each part of an upload needs its own signature."""
DEADLINE = 60.0
"""Seconds for all signatures of an upload, so that its requests do not delay those of others for longer."""
RETRY = Retry(
    if_exception_type(requests.ConnectionError, requests.Timeout, exceptions.TooManyRequests, exceptions.ServerError),
    initial=0.1,
    maximum=1.0,
    timeout=6.0,
)
_logger = logging.getLogger("mlflow.gcp")


class SigningError(Exception):
    """The IAM Credentials API does not sign. The message is the cause."""


class KeylessCredentials(Signing):  # type: ignore[misc]
    """Signs as the service account of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None

    def _authorized(self) -> Any:
        """Return the session. It is created at the first use, because it needs the metadata server."""
        with self._lock:
            if self._session is None:
                try:
                    credentials = google.auth.default(scopes=[SCOPE])[0]
                    # The address of a VM's service account is unknown before the first token.
                    credentials.refresh(Request())
                except GoogleAuthError as error:
                    raise SigningError(f"the server has no credentials: {error}") from error
                if not getattr(credentials, "service_account_email", None):
                    raise SigningError("the server does not run as a service account")
                self._session = AuthorizedSession(credentials)
                self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=CONCURRENT))
            return self._session

    @property
    def signer(self) -> Signing:
        """Return the object that signs."""
        return self

    @property
    def signer_email(self) -> str:
        """Return the address of the service account."""
        return str(self._authorized().credentials.service_account_email)

    def sign_bytes(self, message: bytes) -> bytes:
        """Return the signature of a message. Raise SigningError if the API does not sign."""
        body = {"payload": base64.b64encode(message).decode()}

        def send() -> bytes:
            session = self._authorized()
            url = f"{ENDPOINT.rstrip('/')}/v1/projects/-/serviceAccounts/{self.signer_email}:signBlob"
            response = session.post(url, json=body, timeout=TIMEOUT)
            if not response.ok:
                raise exceptions.from_http_response(response)
            return base64.b64decode(response.json()["signedBlob"])

        try:
            signature: bytes = RETRY(send)()
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException, ValueError, KeyError) as error:
            raise SigningError(f"{type(error).__name__}: {error}") from error
        return signature


class UrlSigner:
    """Creates signed URLs, several at once. After a failure it refuses for a while."""

    def __init__(
        self,
        credentials: Signing | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
        deadline: float = DEADLINE,
    ) -> None:
        self._credentials, self._clock, self._pause = credentials or KeylessCredentials(), clock, pause
        self._deadline = deadline
        self._executor = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="sign-url")
        self._failure, self._until = "", 0.0

    def check(self) -> None:
        """Raise SigningError while the last failure is recent."""
        if self._clock() < self._until:
            raise SigningError(self._failure)

    def urls(self, blob: Any, method: str, seconds: int, queries: Iterable[Mapping[str, str]]) -> list[str]:
        """Return a URL for each mapping of query parameters, in the same order."""
        self.check()
        lifetime = datetime.timedelta(seconds=seconds)
        arguments = {"version": "v4", "expiration": lifetime, "method": method, "credentials": self._credentials}

        def sign(query: Mapping[str, str]) -> str:
            return str(blob.generate_signed_url(**arguments, query_parameters=query))

        end = time.monotonic() + self._deadline
        futures = [self._executor.submit(sign, query) for query in queries]
        try:
            return [future.result(max(0.0, end - time.monotonic())) for future in futures]
        except TimeoutError as error:
            # The API signs, so other transfers need no pause.
            raise SigningError(f"{len(futures)} signatures took more than {self._deadline:.0f} seconds") from error
        except SigningError as error:
            if self._clock() >= self._until:
                message = "Cannot sign URLs: %s. For %d seconds, all artifacts are transferred through the server."
                _logger.warning(message, error, self._pause)
            self._failure, self._until = str(error), self._clock() + self._pause
            raise
        finally:
            for future in futures:
                future.cancel()


def problem(credentials: Signing) -> str:
    """Return why the API does not sign; empty if it does."""
    try:
        credentials.sign_bytes(b"check")
    except SigningError as error:
        return str(error)
    return ""


if __name__ == "__main__":  # for the doctor
    print(json.dumps({"cause": problem(KeylessCredentials())}))
