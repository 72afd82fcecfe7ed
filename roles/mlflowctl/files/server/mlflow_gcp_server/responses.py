# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The responses to requests that do not reach MLflow."""

from __future__ import annotations

import html
from http import HTTPStatus

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

SIGN_OUT = "/oauth2/sign_out?rd=/signed-out"
BASIC_CHALLENGE = 'Basic realm="mlflow"'
"""A browser asks for a user name and a password."""
BEARER_CHALLENGE = 'Bearer realm="mlflow"'
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>No access</title></head>
<body>
<h1>No access</h1>
<p>{message}</p>
<p><a href="{sign_out}">Sign out and use another account</a></p>
</body>
</html>
"""
PAGE_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


def refusal(status: HTTPStatus, error_code: str, message: str, **headers: str) -> JSONResponse:
    """Return an error response in the format of MLflow's clients."""
    return JSONResponse({"error_code": error_code, "message": message}, status, headers)


def unauthenticated(message: str, *, single_sign_on: bool) -> JSONResponse:
    """Return 401. With single sign-on, no browser may ask for a password."""
    headers = {"WWW-Authenticate": BEARER_CHALLENGE if single_sign_on else BASIC_CHALLENGE}
    return refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message, **headers)


def is_page_view(scope: Scope) -> bool:
    """Return whether a browser shows the response as a page."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] == "GET" and b"text/html" in accepted.lower()


def forbidden(scope: Scope, message: str) -> Response:
    """Return 403 for a refused identity: a page for a browser, an error in MLflow's format for other clients."""
    if not is_page_view(scope):
        return refusal(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", message)
    page = PAGE.format(message=html.escape(message), sign_out=html.escape(SIGN_OUT))
    return HTMLResponse(page, HTTPStatus.FORBIDDEN, PAGE_HEADERS)


def too_many(seconds: int) -> JSONResponse:
    """Return 429 for an address with too many wrong passwords."""
    message = f"Too many wrong passwords from this address. Try again in {seconds} seconds."
    headers = {"Retry-After": str(seconds)}
    return refusal(HTTPStatus.TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED", message, **headers)


def unavailable() -> JSONResponse:
    """Return 503 if the database of users does not answer."""
    message = "The database of MLflow's users does not answer. Try again later."
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE", message, **{"Retry-After": "5"})
