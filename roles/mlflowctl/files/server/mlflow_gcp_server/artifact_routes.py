# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The route for downloads of artifacts from a bucket, and the header Retry-After.

MLflow has an interface for streams to the artifact store, and none for streams from it.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import anyio
import anyio.to_thread
from google.auth.exceptions import GoogleAuthError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.server import artifact_router as mlflow_routes
from mlflow.utils.mime_type_utils import _guess_mime_type
from mlflow.utils.uri import validate_path_is_safe
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .artifacts import CloudStorageArtifactRepository
from .object_stream import ObjectReader

PATHS = tuple(f"/{prefix}/2.0/mlflow-artifacts/artifacts/" for prefix in ("api", "ajax-api"))
SECONDS_UNTIL_RETRY = 5
THREADS = anyio.CapacityLimiter(32)
"""Threads for downloads of a process. A slow bucket cannot delay Flask's requests, in anyio's default threads."""


async def _blocks(content: ObjectReader) -> AsyncIterator[bytes]:
    blocks: Iterator[bytes] = iter(content)
    try:
        while block := await anyio.to_thread.run_sync(next, blocks, b"", limiter=THREADS):
            yield block
    finally:
        content.close()


async def download(artifact_path: str) -> Any:
    """Answer as MLflow's own route of these paths, but without a temporary file."""
    try:
        # The first call creates the client, which needs the metadata server.
        repository = await anyio.to_thread.run_sync(mlflow_routes._get_artifact_repo, limiter=THREADS)
        if not isinstance(repository, CloudStorageArtifactRepository):
            return await mlflow_routes.download_artifact(artifact_path)
        path = mlflow_routes._get_workspace_scoped_path(validate_path_is_safe(artifact_path))
        content = await anyio.to_thread.run_sync(repository.open_object, path, limiter=THREADS)
    except MlflowException as error:
        return _answer(error)
    except (OSError, GoogleAuthError) as error:
        message = f"Cannot read {artifact_path}: the artifact store does not answer. Try again later. Cause: {error}"
        return _answer(MlflowException(message, TEMPORARILY_UNAVAILABLE))
    if content.size is None:
        # Without a length, a client takes a broken response for complete. MLflow reads the whole object first.
        content.close()
        return await mlflow_routes.download_artifact(artifact_path)
    name = posixpath.basename(path)
    headers = {
        "Content-Type": _guess_mime_type(name),
        "Content-Disposition": mlflow_routes._content_disposition(name),
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(content.size),
    }
    return StreamingResponse(_blocks(content), headers=headers)


def _answer(error: MlflowException) -> JSONResponse:
    return JSONResponse(json.loads(error.serialize_as_json()), error.get_http_status_code())


def add_download() -> None:
    """Put the route before MLflow's own. Call before MLflow creates its application, which then authorizes it alike."""
    router = mlflow_routes.artifact_router
    if any(getattr(route, "endpoint", None) is download for route in router.routes):
        return
    for path in PATHS:
        router.add_api_route(f"{path}{{artifact_path:path}}", download, methods=["GET"])
        router.routes.insert(0, router.routes.pop())


class RetryAfter:
    """Adds Retry-After to each 503 for artifacts. A client then waits before it repeats the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or "/mlflow-artifacts/" not in scope["path"]:
            await self._app(scope, receive, send)
            return

        async def with_header(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
                names = {header[0].lower() for header in message.get("headers", [])}
                if b"retry-after" not in names:
                    header = (b"retry-after", str(SECONDS_UNTIL_RETRY).encode())
                    message = {**message, "headers": [*message.get("headers", []), header]}
            await send(message)

        await self._app(scope, receive, with_header)
