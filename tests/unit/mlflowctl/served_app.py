# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The application of a test server: the package's own, and a list of its routes in the file `ROUTES`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastapi.routing import iter_route_contexts
from mlflow.server import auth
from mlflow_gcp_server import app as package

IGNORED = {"HEAD", "OPTIONS"}


def routes(native: Any) -> list[dict[str, Any]]:
    """Return each route and method of the Flask application and of the FastAPI application around it."""
    found = [(rule.rule, method) for rule in auth.app.url_map.iter_rules() for method in (rule.methods or ())]
    for each in iter_route_contexts(native.routes):
        # The Flask application is mounted and has no methods of its own.
        found += [(each.path, method) for method in getattr(each, "methods", None) or ()]
    return [
        {"path": path, "method": method, "public": auth.is_unprotected_route(path)}
        for path, method in sorted(set(found))
        if method not in IGNORED
    ]


def create_app() -> Any:
    """Return the application of the package."""
    original, natives = auth.create_app, []
    auth.create_app = lambda: natives.append(original()) or natives[0]
    application = package.create_app()
    Path(os.environ["ROUTES"]).write_text(json.dumps(routes(natives[0])), encoding="utf-8")
    return application
