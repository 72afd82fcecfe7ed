# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The CORS configuration of a bucket, which applies to the XML API (https://cloud.google.com/storage/docs/cross-origin).

The JSON API allows every origin at Google.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from localcloud.framework.service import Json

_MAX_AGE = 3600


def _entry(bucket: Json, request: Request, method: str) -> tuple[Json, str] | None:
    """Return the first entry that allows origin and method, and the origin for the answer."""
    origin = request.headers.get("origin")
    if not origin:
        return None
    for entry in bucket["resource"].get("cors") or ():
        origins, methods = entry.get("origin") or (), entry.get("method") or ()
        if (origin in origins or "*" in origins) and (method in methods or "*" in methods):
            return entry, "*" if "*" in origins else origin
    return None


def preflight(bucket: Json, request: Request) -> Response:
    """Return the answer to a preflight request. Without an entry it allows nothing, and the browser refuses."""
    found = _entry(bucket, request, request.headers.get("access-control-request-method", ""))
    response = Response()
    response.headers["Vary"] = "Origin"
    if found:
        entry, origin = found
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = ",".join(entry["method"])
        if entry.get("responseHeader"):
            response.headers["Access-Control-Allow-Headers"] = ",".join(entry["responseHeader"])
        response.headers["Access-Control-Max-Age"] = str(entry.get("maxAgeSeconds", _MAX_AGE))
    return response


def allow(bucket: Json, request: Request, response: Response) -> None:
    """Add the headers with which a page of an allowed origin can read an answer."""
    if "origin" not in request.headers:
        return
    response.headers["Vary"] = "Origin"
    found = _entry(bucket, request, request.method)
    if found:
        entry, origin = found
        response.headers["Access-Control-Allow-Origin"] = origin
        if entry.get("responseHeader"):
            response.headers["Access-Control-Expose-Headers"] = ", ".join(entry["responseHeader"])
