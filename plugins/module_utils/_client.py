# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP client for Google's APIs: endpoints, timeouts, retries with a deadline, paged lists, and one exception type.

Does not import Ansible, because the inventory plugin uses this module too.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import requests
    from google.auth import exceptions as auth_exceptions
except ImportError:  # the module or plugin reports _auth.IMPORT_ERROR
    pass

from . import _auth
from ._errors import GoogleError, Json, details_of, error_of
from ._retry import LONGEST_PAUSE, Clock, Deadline, Retry

if TYPE_CHECKING:
    from requests import Response, Session

__all__ = ["Client", "Clock", "GoogleError", "Json"]
T = TypeVar("T")

# Base address of each API, in the form of gcloud's endpoint overrides: some include the version.
ENDPOINTS: Mapping[str, str] = {
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com/",
    "compute": "https://compute.googleapis.com/compute/v1/",
    "dns": "https://dns.googleapis.com/dns/v1/",
    "iam": "https://iam.googleapis.com/",
    "iamcredentials": "https://iamcredentials.googleapis.com/",
    "secretmanager": "https://secretmanager.googleapis.com/",
    "servicenetworking": "https://servicenetworking.googleapis.com/",
    "serviceusage": "https://serviceusage.googleapis.com/",
    "sql": "https://sqladmin.googleapis.com/",
    "storage": "https://storage.googleapis.com/storage/v1/",
}
# APIs that accept tokens signed by a service account. Google's own clients of these APIs send such tokens, too.
SELF_SIGNED = frozenset({"compute", "secretmanager"})
RETRIED_CODES = frozenset({429, 500, 502, 503})
# Projects that own the OAuth clients of gcloud. A user's requests without a quota project count for them.
CLIENT_PROJECTS = frozenset({"764086051850", "32555940559"})
RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
PER_REQUEST_SECONDS = 120.0  # how long one request is repeated while the service is unavailable
ENABLED_WITHIN = 300.0  # how long an API that was just enabled may still answer that it is disabled
CONNECTION_ATTEMPTS = 5  # few, so that a wrong address is reported in less than two minutes
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 150.0  # Compute's operations.wait answers after up to two minutes


class Client:
    """JSON requests in one session. ``timeout`` (seconds) is the deadline for all requests and waits together.

    ``project`` is the project in which APIs are expected to be enabled.
    """

    def __init__(
        self,
        session: Session,
        *,
        project: str = "",
        timeout: float = 1800.0,
        clock: Clock | None = None,
        rand: Callable[[], float] = random.random,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.session, self.rand, self.project = session, rand, project
        self._without_quota_project: Session | None = None
        self._self_signed = _auth.with_self_signed_tokens(session)
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.clock = clock or Clock()
        self.deadline = Deadline.after(self.clock, timeout)

    def renew(self) -> None:
        """Restart the deadline. Then ``timeout`` applies to each step of a long task instead of to the whole task."""
        self.deadline = Deadline.after(self.clock, self.deadline.seconds)

    def seconds_left(self) -> float:
        """Return the seconds until the current deadline, which ``renew`` replaces."""
        return self.deadline.left()

    def base(self, api: str) -> str:
        """Return the API's base address, which ends with a slash."""
        override = self.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}")
        return (override or ENDPOINTS[api]).rstrip("/") + "/"

    def retry(self, *, first: float = 1.0, longest: float = LONGEST_PAUSE) -> Retry:
        """Return the attempts of a new action, which end at this client's deadline."""
        return Retry(self.clock, self.seconds_left, self.rand, first, longest)

    def get(self, api: str, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """Get one resource."""
        return self.request("GET", api, path, params=params)

    def find(self, api: str, path: str, params: Mapping[str, Any] | None = None) -> Json | None:
        """Get one resource, or None after a 404. A 403 is an error, because the resource may exist."""
        try:
            return self.get(api, path, params)
        except GoogleError as error:
            if error.code == 404:
                return None
            raise

    def pages(self, api: str, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Yield every page. A page without items may have a next page."""
        query = dict(params or {})
        while True:
            page = self.get(api, path, query)
            yield page
            token = page.get("nextPageToken")
            if not token:
                return
            query["pageToken"] = token

    def items(self, api: str, path: str, key: str = "items", params: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Yield every item of a paged list."""
        for page in self.pages(api, path, params):
            yield from page.get(key) or ()

    def request(
        self,
        method: str,
        api: str,
        path: str,
        *,
        body: Json | None = None,
        params: Mapping[str, Any] | None = None,
        idempotent: bool = True,
    ) -> Json:
        """Send one request and return its JSON. Repeat the request after temporary errors.

        Use ``idempotent=False`` for a request that must not run twice, such as adding a secret's version. Such a
        request is repeated only if the service did nothing (429). Raises GoogleError.
        """
        url = self.base(api) + path.lstrip("/")

        def once() -> Json:
            return _json(self._once(method, api, url, params=dict(params or {}), json=body), method, url, api)

        return self._retried(once, idempotent)

    def raw(self, method: str, api: str, url: str, **kwargs: Any) -> Response:
        """Send one request with or for bytes to a full URL, and return the response unchanged.

        The request is repeated as in ``request``, so ``data`` must be bytes and not a file. Raises GoogleError.
        """
        return self._retried(lambda: self._once(method, api, url, **kwargs), True)

    def _retried(self, once: Callable[[], T], idempotent: bool) -> T:
        retry = self.retry()
        try:
            return retry.call(once, repeat_for=lambda error: self._repeat_for(error, retry.attempts, idempotent))
        except GoogleError as error:
            if not retry.exhausted:
                raise
            raise error.gave_up(retry.attempts) from error

    def _repeat_for(self, error: GoogleError, attempt: int, idempotent: bool) -> float:
        """Return the seconds for which a request is repeated after this error, or 0 for a permanent error."""
        if error.operation_in_progress:
            return self.deadline.seconds
        if error.service_disabled and self._enabled(error):  # the service did nothing, so a repetition is safe
            return ENABLED_WITHIN
        return PER_REQUEST_SECONDS if _is_temporary(error, attempt, idempotent) else 0.0

    def _enabled(self, error: GoogleError) -> bool:
        """Return whether Service Usage reports the API as enabled; the API's own servers learn of it minutes later.

        Raises GoogleError with the reason ``quotaProject`` if the request counted for another project.
        """
        if error.api == "serviceusage" or not self.project:
            return False
        try:
            service = self.get("serviceusage", f"v1/projects/{self.project}/services/{error.service}")
        except GoogleError:
            service = {}
        number = str(service.get("name", "")).split("/")[1:2]
        other = error.consumer and error.consumer not in {self.project, *number}
        if other and (number or error.consumer in CLIENT_PROJECTS):
            message = (
                f"the quota project of these credentials is {error.consumer}, in which {error.service} is not enabled"
            )
            where: dict[str, Any] = {"method": error.method, "url": error.url, "api": error.api}
            raise GoogleError(0, "quotaProject", message, error.details, **where)
        return service.get("state") == "ENABLED"

    def _leave_out_quota_project(self, error: GoogleError) -> bool:
        """Drop the quota project if Service Usage is not enabled in it. Return whether this is the first time.

        Projects that were not created with the console or gcloud have no enabled API. Only a request without a quota
        project can enable the first one.
        """
        if not error.service_disabled or error.api != "serviceusage" or self._without_quota_project:
            return False
        self._without_quota_project = _auth.without_quota_project(self.session)
        return self._without_quota_project is not None

    def _exchange_tokens(self, error: GoogleError) -> bool:
        """Do without self-signed tokens after a 401. Return whether this is the first time."""
        if error.code != 401 or error.api not in SELF_SIGNED or self._self_signed is None:
            return False
        self._self_signed = None
        return True

    def _session(self, api: str) -> Session:
        other = self._without_quota_project if api == "serviceusage" else None
        return other or (self._self_signed if api in SELF_SIGNED else None) or self.session

    def _once(self, method: str, api: str, url: str, **kwargs: Any) -> Response:
        try:
            return self._send(method, api, url, **kwargs)
        except GoogleError as error:
            if not (self._leave_out_quota_project(error) or self._exchange_tokens(error)):
                raise
        return self._send(method, api, url, **kwargs)

    def _send(self, method: str, api: str, url: str, **kwargs: Any) -> Response:
        where: dict[str, Any] = {"method": method, "url": url, "api": api}
        read_timeout = max(1.0, min(READ_TIMEOUT, self.deadline.left()))
        try:
            response = self._session(api).request(method, url, timeout=(CONNECT_TIMEOUT, read_timeout), **kwargs)
        except (auth_exceptions.RefreshError, auth_exceptions.DefaultCredentialsError) as error:
            message = f"Google refused the credentials: {_text(error)}"
            details = details_of(error.args[1]) if len(error.args) > 1 else ()  # the response to an impersonation
            raise GoogleError(401, "credentials", message, details, **where) from error
        except auth_exceptions.GoogleAuthError as error:  # the token service was not reachable
            raise GoogleError(0, "connection", _text(error), **where) from error
        except requests.exceptions.SSLError as error:
            raise GoogleError(0, "tls", _text(error), **where) from error
        except requests.exceptions.RequestException as error:
            raise GoogleError(0, "connection", _text(error), **where) from error
        if response.status_code >= 400:
            raise error_of(response, **where)
        return response


def _json(response: Response, method: str, url: str, api: str) -> Json:
    if not response.content:
        return {}
    try:
        answer = response.json()
    except ValueError as error:
        message = f"the response is not JSON: {response.text[:200]!r}"
        raise GoogleError(response.status_code, "notJson", message, method=method, url=url, api=api) from error
    return answer if isinstance(answer, dict) else {"items": answer}


def _is_temporary(error: GoogleError, attempt: int, idempotent: bool) -> bool:
    if error.code == 429:
        # A quota for the number of resources is permanent; a rate limit is temporary.
        return error.reason not in {"quotaExceeded", "QUOTA_EXCEEDED"} or "per minute" in error.message.lower()
    if error.code == 403:
        return error.reason in RATE_REASONS or (
            "quota" in error.reason.lower() and "per minute" in error.message.lower()
        )
    if error.code == 400:
        return error.reason in {"resourceNotReady", "RESOURCE_NOT_READY"}
    if not idempotent:
        return False
    if error.code == 0:
        return error.reason == "connection" and attempt + 1 < CONNECTION_ATTEMPTS
    return error.code in RETRIED_CODES


def _text(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())[:500]
