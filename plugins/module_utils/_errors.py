# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of a service that a module uses: one base class, and one exception for all Google services."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response

Json = dict[str, Any]
_SERVICES = {"sql": "sqladmin"}  # API → another name in Service Usage


class RefusedError(Exception):
    """A request that a module refuses before it changes anything. The message has the remedy."""


class ServiceError(Exception):
    """An error of a service or of the connection. ``code`` is the HTTP status, or 0 without a response.

    ``retry_after`` is the number of seconds that the service asked to wait before the next attempt.
    """

    code: int
    reason: str
    message: str
    retry_after: float
    details: tuple[Json, ...] = ()
    api: str = ""
    service_disabled: bool = False  # whether the project has not enabled the API


class GoogleError(ServiceError):
    """An error of a Google service or of the connection."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Sequence[Json] = (),
        *,
        method: str = "",
        url: str = "",
        api: str = "",
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(f"{message} ({f'HTTP {code}, ' if code else ''}{reason})" if reason else message)
        self.code, self.reason, self.message, self.details = code, reason, message, tuple(details)
        self.method, self.url, self.api, self.retry_after = method, url, api, retry_after
        self.service_disabled = code == 403 and reason in {"SERVICE_DISABLED", "accessNotConfigured"}

    @property
    def service(self) -> str:
        """Return the API's name in Service Usage. Cloud Storage does not name itself in errors."""
        return self.metadata("service") or f"{_SERVICES.get(self.api, self.api)}.googleapis.com"

    @property
    def consumer(self) -> str:
        """Return the number or ID of the project that the request counted for, or an empty string if unknown."""
        return self.metadata("consumer").removeprefix("projects/")

    @property
    def operation_in_progress(self) -> bool:
        """Return whether other operations must end first: in Cloud SQL, Service Networking or (too many) Compute."""
        return (
            (self.code == 409 and self.reason == "operationInProgress")
            or (self.code == 400 and "peering operation in progress" in self.message.lower())
            or self.reason == "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED"
        )

    def gave_up(self, attempts: int) -> GoogleError:
        """Return the error with the number of attempts in its message."""
        message = f"{self.message} (gave up after {attempts} attempts)"
        where: dict[str, Any] = {"method": self.method, "url": self.url, "api": self.api}
        return GoogleError(self.code, self.reason, message, self.details, retry_after=self.retry_after, **where)

    def metadata(self, key: str) -> str:
        """Return a value from the error's ErrorInfo details, or an empty string."""
        for detail in self.details:
            value = (detail.get("metadata") or detail.get("metadatas") or {}).get(key)  # Compute uses "metadatas"
            if value:
                return str(value)
        return ""


def error_of(response: Response, *, method: str = "", url: str = "", api: str = "") -> GoogleError:
    """Return the error in a response."""
    retry_after = seconds_to_wait(response)
    envelope = _envelope(response.text)
    if not envelope:  # an HTML page of a proxy, or OAuth's {"error": "invalid_grant"}
        text = " ".join(response.text.split())[:300] or response.reason
        return GoogleError(response.status_code, "", text, method=method, url=url, api=api, retry_after=retry_after)
    details = _details(envelope)
    old_style = [entry for entry in envelope.get("errors") or () if isinstance(entry, dict)]
    reasons = (
        [detail.get("reason") for detail in details]
        + [entry.get("reason") for entry in old_style]
        + [envelope.get("status")]
    )
    return GoogleError(
        response.status_code,
        next((str(reason) for reason in reasons if reason), ""),
        "; ".join([str(envelope.get("message") or response.reason), *_violations(details)]),
        details,
        method=method,
        url=url,
        api=api,
        retry_after=retry_after,
    )


def details_of(text: Any) -> list[Json]:
    """Return the error details in a text, or an empty list."""
    return _details(_envelope(str(text)))


def seconds_to_wait(response: Response) -> float:
    """Return the pause that the service asked for (Retry-After), or 0."""
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, moment.timestamp() - time.time())


def _envelope(text: str) -> Json:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    envelope = document.get("error") if isinstance(document, dict) else None
    return envelope if isinstance(envelope, dict) else {}


def _details(envelope: Json) -> list[Json]:
    return [detail for detail in envelope.get("details") or () if isinstance(detail, dict)]


def _violations(details: Sequence[Json]) -> list[str]:
    # "Request contains an invalid argument." is too general. The details name the field and the cause.
    found = [item for detail in details for item in detail.get("fieldViolations") or detail.get("violations") or ()]
    return [": ".join(str(item[key]) for key in ("field", "subject", "description") if item.get(key)) for item in found]
