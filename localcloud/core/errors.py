# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's error envelope, in its dialects."""

from __future__ import annotations

import enum
from typing import Any

Json = dict[str, Any]

_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION", 416: "OUT_OF_RANGE", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
    501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_REASON = {
    400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict", 412: "conditionNotMet",
    429: "rateLimitExceeded", 500: "backendError", 501: "notImplemented", 503: "backendError",
}  # fmt: skip
# gRPC codes, used by google.rpc.Status in an operation.
_RPC = {
    "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10, "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip
# The reasons of a service with the dialect BOTH, by canonical status.
_REASON_OF_STATUS = {
    "INVALID_ARGUMENT": "badRequest", "NOT_FOUND": "notFound", "ALREADY_EXISTS": "alreadyExists", "ABORTED": "aborted",
    "PERMISSION_DENIED": "forbidden", "FAILED_PRECONDITION": "failedPrecondition",
}  # fmt: skip


class Dialect(enum.Enum):
    """The form of a service's errors."""

    REASON = "errors[].reason, as services of the first generation"
    STATUS = "status and details"
    BOTH = "status, details and errors[].reason"


class ApiError(Exception):
    """A refusal with Google's message.

    For the dialect REASON, `reason` is the `errors[].reason` (`notFound`, `resourceInUseByAnotherResource`). For the
    other dialects it is the canonical status (`ABORTED`) where it differs from the HTTP code's usual status.
    """

    def __init__(
        self,
        code: int,
        reason: str | None,
        message: str,
        details: list[Json] | None = None,
        *,
        headers: dict[str, str] | None = None,
        with_status: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or []
        self.headers = headers or {}
        self.with_status = with_status  # first generation: answers have a status only rarely

    @property
    def status(self) -> str:
        """Return the canonical status, for example `NOT_FOUND`."""
        if self.reason in _RPC:
            return str(self.reason)
        return _STATUS.get(self.code, "UNKNOWN")

    def envelope(self, dialect: Dialect) -> Json:
        """Return the response's body in a dialect."""
        error: Json = {"code": self.code, "message": self.message}
        if dialect is Dialect.REASON:
            reason = self.reason if self.reason and self.reason not in _RPC else _REASON.get(self.code, "backendError")
            error["errors"] = [{"message": self.message, "domain": "global", "reason": reason}]
            if self.details or self.with_status:
                error["status"] = self.status
        else:
            error["status"] = self.status
            if dialect is Dialect.BOTH:
                reason = _REASON_OF_STATUS.get(self.status, _REASON.get(self.code, "backendError"))
                error["errors"] = [{"message": self.message, "domain": "global", "reason": reason}]
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def rpc_status(self) -> Json:
        """Return a google.rpc.Status, as a long-running operation contains it."""
        return {"code": _RPC.get(self.status, 2), "message": self.message, "details": self.details}


def error_info(reason: str, domain: str, **metadata: str) -> Json:
    """Return a google.rpc.ErrorInfo detail."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def bad_request(violations: list[tuple[str, str]]) -> Json:
    """Return a google.rpc.BadRequest detail from (field, description) pairs."""
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": f, "description": d} if f else {"description": d} for f, d in violations],
    }
