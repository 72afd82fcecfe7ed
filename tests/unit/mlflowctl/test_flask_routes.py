# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Which requests go directly to MLflow's Flask application. `test_routes.py` asks each route for each caller."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mlflow.server import auth, workspace_helpers
from mlflow.server.fastapi_app import create_fastapi_app
from mlflow.utils.workspace_context import get_request_workspace
from mlflow_gcp_server import flask_routes
from mlflow_gcp_server.flask_routes import FlaskRoutes, flask_paths, shortened
from mlflow_gcp_server.wsgi import InThread
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp

DIRECT, NATIVE = "/api/2.0/mlflow/runs/search", "/gateway/x"


@pytest.fixture(scope="module")
def mlflow() -> FastAPI:
    app = create_fastapi_app()
    auth.add_fastapi_permission_middleware(app)
    return app


def test_only_paths_of_flask_that_no_native_route_has(mlflow: FastAPI) -> None:
    paths = flask_paths(mlflow)
    v2 = "/api/2.0/mlflow"
    assert {f"{v2}/experiments/get", f"{v2}/runs/log-batch", DIRECT, f"{v2}/runs/create"} <= paths
    native = {"/v1/traces", NATIVE, "/ajax-api/3.0/jobs/search", "/ajax-api/3.0/mlflow/assistant/config"}
    assert not native & paths
    assert not [path for path in paths if "<" in path]
    # MLflow sends files in parts.
    assert not {"/get-artifact", "/model-versions/get-artifact", "/ajax-api/2.0/mlflow/get-trace-artifact"} & paths


def test_a_path_with_a_validator_of_fastapi_takes_the_long_way(
    mlflow: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(path: str, method: str) -> str | None:
        return "validator" if (path, method) == (DIRECT, "POST") else None

    monkeypatch.setattr(auth, "_find_fastapi_validator", find)
    assert DIRECT not in flask_paths(mlflow)


def test_only_idle_middleware_is_left_out(mlflow: FastAPI) -> None:
    app = shortened(mlflow, mlflow)
    assert isinstance(app, FlaskRoutes)
    (flask,) = app._direct.routes
    assert isinstance(flask.app, InThread)
    kept = app._direct.user_middleware
    left_out = {each.kwargs["dispatch"].__name__ for each in mlflow.user_middleware if each not in kept}
    assert left_out == {
        "fastapi_permission_middleware",
        "gateway_timing_middleware",
        "workspace_context_middleware",
    }
    assert [each for each in mlflow.user_middleware if each in kept] == kept


def ask(app: ASGIApp, **headers: str) -> tuple[int, Any]:
    """Return status and JSON of a search for runs."""

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post(DIRECT, headers=headers, json={})

    answer = asyncio.run(post())
    return answer.status_code, answer.json()


@pytest.mark.parametrize("enabled", [False, True])
def test_flask_selects_the_workspace_of_a_request(
    mlflow: FastAPI, enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the middleware of the FastAPI application does nothing for a route of Flask."""
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", str(enabled))
    monkeypatch.setattr(workspace_helpers, "resolve_workspace_from_header", lambda name: SimpleNamespace(name=name))
    monkeypatch.setitem(auth.app.view_functions, "_search_runs", lambda: json.dumps(get_request_workspace()))
    direct = shortened(mlflow, mlflow)
    for headers in ({}, {workspace_helpers.WORKSPACE_HEADER_NAME: "team"}):
        assert ask(direct, **headers) == ask(mlflow, **headers)
    status, answer = ask(direct, **headers)
    assert (status, answer) == (200, "team") if enabled else answer["error_code"] == "FEATURE_DISABLED"
    assert get_request_workspace() is None


@pytest.mark.parametrize(
    ("path", "root_path", "way"),
    [(DIRECT, "", "direct"), (DIRECT + "/", "", "long"), (NATIVE, "", "long"), (DIRECT, "/prefix", "long")],
)
def test_the_way_of_a_request(path: str, root_path: str, way: str) -> None:
    app = FlaskRoutes(PlainTextResponse("long"), PlainTextResponse("direct"), frozenset({DIRECT}))

    async def ask() -> str:
        transport = httpx.ASGITransport(app=app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://mlflow") as client:
            return (await client.get(path)).text

    assert asyncio.run(ask()) == way


@pytest.mark.parametrize(
    "change", ["no middleware", "two middlewares", "no mount", "route after the mount", "no function"]
)
def test_another_structure_of_mlflow_is_not_shortened(
    change: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_fastapi_app()
    for _ in range({"no middleware": 0, "two middlewares": 2}.get(change, 1)):
        auth.add_fastapi_permission_middleware(app)
    if change == "no mount":
        app.router.routes[:] = [route for route in app.router.routes if not isinstance(route, Mount)]
    if change == "route after the mount":
        app.add_api_route("/later", lambda: "later")
    if change == "no function":
        monkeypatch.delattr(auth, "_find_fastapi_validator")
    long = PlainTextResponse("long")
    with caplog.at_level(logging.WARNING, flask_routes.__name__):
        assert shortened(app, long) is long
    assert "another structure" in caplog.text
