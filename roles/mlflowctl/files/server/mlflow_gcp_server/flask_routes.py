# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Send the requests that only MLflow's Flask application serves directly to it.

MLflow is a Flask application inside a FastAPI application. For a route of Flask, three middlewares of the FastAPI
application do nothing: the permission middleware, because Flask authorizes the request, the middleware that measures
the AI gateway, and the one of workspaces, because Flask selects the workspace. But the first compares the path with all
native routes, FastAPI does so again, and each starts tasks. This costs more CPU than the check of the permission
(docs/decisions/0045).
"""

from __future__ import annotations

import logging
from typing import Any

from mlflow.server import auth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from .wsgi import InThread

IDLE = {
    ("mlflow.server.auth", "fastapi_permission_middleware"),
    ("mlflow.server.fastapi_app", "gateway_timing_middleware"),
    ("mlflow.server.fastapi_app", "workspace_context_middleware"),
}
"""The functions that do nothing for a route of Flask."""

FILES = "-artifact"
"""End of the paths that send and receive files. MLflow sends a file in parts."""

_logger = logging.getLogger("mlflow.gcp")


class FlaskRoutes:
    """An ASGI application that serves `paths` with `direct`, and all other requests with `app`."""

    def __init__(self, app: ASGIApp, direct: ASGIApp, paths: frozenset[str]) -> None:
        self._app, self._direct, self._paths = app, direct, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or an event of the server."""
        known = scope["type"] == "http" and not scope.get("root_path") and scope["path"] in self._paths
        await (self._direct if known else self._app)(scope, receive, send)


def shortened(app: Any, long: ASGIApp) -> ASGIApp:
    """Return MLflow's FastAPI application with a direct way to Flask. All other middleware remains.

    Return the long way if this release of MLflow has another structure: slower, with the same result.

    Args:
        app: MLflow's application.
        long: The application for all other requests: MLflow's, or an application in front of it.
    """
    idle = [each for each in app.user_middleware if _function(each) in IDLE]
    others = [each for each in app.user_middleware if each not in idle]
    mounts = [route for route in app.routes if isinstance(route, Mount) and not route.path]
    known = hasattr(auth, "_find_fastapi_validator") and len(idle) == len(IDLE) and app.routes[-1:] == mounts
    if not known:
        _logger.warning("This release of MLflow has another structure: requests take the long way to Flask")
        return long
    flask = Mount("/", InThread(auth.app))
    direct = Starlette(routes=[flask], middleware=others, exception_handlers=app.exception_handlers)
    return FlaskRoutes(long, direct, flask_paths(app))


def _function(middleware: Middleware) -> tuple[str, str]:
    """Return the module and the name of a middleware that is a function."""
    function = middleware.kwargs.get("dispatch")
    return getattr(function, "__module__", ""), getattr(function, "__name__", "")


def flask_paths(app: Any) -> frozenset[str]:
    """Return the paths without parameters for which the idle middlewares do nothing, with any method."""
    rules = [rule for rule in auth.app.url_map.iter_rules() if not rule.arguments and not rule.rule.endswith(FILES)]
    return frozenset(
        rule.rule
        for rule in rules
        if not _matches_native_route(app, rule.rule)
        and all(auth._find_fastapi_validator(rule.rule, method) is None for method in rule.methods or ())
    )


def _matches_native_route(app: Any, path: str) -> bool:
    """Return whether a native route has the path, with any method."""
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    native = [route for route in app.routes if not isinstance(route, Mount)]
    return any(route.matches(dict(scope))[0] != Match.NONE for route in native)
