# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Artifacts with a slow or broken bucket and with hostile paths, with scripted responses of Cloud Storage."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread
import mlflow.store.artifact.artifact_repository_registry  # noqa: F401 - MLflow imports the package
import pytest
import requests
import responses
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud import storage
from mlflow.exceptions import MlflowException
from mlflow_gcp_server import artifact_routes, artifacts, direct_artifacts, object_stream
from mlflow_gcp_server.direct_artifacts import DirectArtifactRepository
from mlflow_gcp_server.settings import DirectTransfers
from mlflow_gcp_server.signing import CONCURRENT, SigningError, UrlSigner

from tests.unit.mlflowctl.test_direct_artifacts import BEGUN, FOLDER, Account

MIB = 1024 * 1024
CHUNK = 256 * 1024
DOWNLOAD = f"https://storage.googleapis.com/download/storage/v1/b/my-bucket/o/{FOLDER.replace('/', '%2F')}%2Ff.txt"
SESSION = "https://storage.googleapis.com/upload/session?uploadType=resumable&upload_id=SECRET-1"
ANY = re.compile(".*")


@pytest.fixture
def repository() -> DirectArtifactRepository:
    state = direct_artifacts._State("gs://my-bucket", DirectTransfers(1000, 900), UrlSigner(Account()))
    client = storage.Client(project="my-project", credentials=AnonymousCredentials())
    return DirectArtifactRepository("gs://my-bucket", state=state, client=client)


@pytest.fixture
def script() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def served(repository: DirectArtifactRepository, monkeypatch: pytest.MonkeyPatch) -> DirectArtifactRepository:
    """Return the repository of the server."""
    monkeypatch.setattr(artifact_routes.mlflow_routes, "_get_artifact_repo", lambda: repository)
    return repository


# --- Downloads


def test_a_compressed_object_is_downloaded_by_mlflow(
    served: DirectArtifactRepository, script: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response has no length, so a client would take a broken one for complete."""
    script.get(DOWNLOAD, body=gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})

    async def by_mlflow(path: str) -> str:
        return f"by MLflow: {path}"

    monkeypatch.setattr(artifact_routes.mlflow_routes, "download_artifact", by_mlflow)
    assert asyncio.run(artifact_routes.download(f"{FOLDER}/f.txt")) == f"by MLflow: {FOLDER}/f.txt"


def test_a_download_uses_no_thread_of_flask(served: DirectArtifactRepository, script: responses.RequestsMock) -> None:
    script.get(DOWNLOAD, body=b"text", headers={"Content-Length": "4"}, auto_calculate_content_length=False)

    async def with_busy_threads() -> bytes:
        default = anyio.to_thread.current_default_thread_limiter()
        default.total_tokens = 1
        await default.acquire()
        with anyio.fail_after(20):
            response = await artifact_routes.download(f"{FOLDER}/f.txt")
            return b"".join([block async for block in response.body_iterator])

    assert asyncio.run(with_busy_threads()) == b"text"


@pytest.mark.parametrize("cause", [RefreshError("metadata"), OSError("metadata")])
def test_a_missing_metadata_server_blocks_no_other_request(monkeypatch: pytest.MonkeyPatch, cause: Exception) -> None:
    threads = []

    def away() -> None:
        threads.append(threading.current_thread())
        raise cause

    monkeypatch.setattr(artifact_routes.mlflow_routes, "_get_artifact_repo", away)
    response = asyncio.run(artifact_routes.download("0/x"))
    assert response.status_code == 503
    assert "Cannot read 0/x" in json.loads(response.body)["message"]
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("path", ["", ".", "a/."])
@pytest.mark.parametrize("method", ["open_object", "get_download_presigned_url"])
def test_the_list_of_objects_is_no_artifact(
    repository: DirectArtifactRepository, script: responses.RequestsMock, method: str, path: str
) -> None:
    script.get(ANY, json={"kind": "storage#objects", "size": "1"}, headers={"Content-Length": "1"})
    with pytest.raises(MlflowException, match="Invalid artifact file name") as raised:
        getattr(repository, method)(path)
    assert (raised.value.get_http_status_code(), len(script.calls)) == (400, 0)


# --- Uploads


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (artifacts, object_stream):
        monkeypatch.setattr(module, "WRITE_BYTES", CHUNK)
    monkeypatch.setattr(object_stream, "RETRY", object_stream.RETRY.with_timeout(0.1))


def upload(repository: DirectArtifactRepository, size: int = CHUNK + 1) -> None:
    repository.log_artifact_from_stream(io.BytesIO(bytes(size)), "f.txt", FOLDER)


@pytest.mark.usefixtures("small_chunks")
def test_an_upload_without_an_object_fails(
    repository: DirectArtifactRepository, script: responses.RequestsMock
) -> None:
    script.post(ANY, headers={"Location": SESSION})
    script.put(SESSION, status=308, headers={"Range": f"bytes=0-{CHUNK - 1}"})
    with pytest.raises(MlflowException, match="has not received the whole content") as raised:
        upload(repository)
    assert raised.value.get_http_status_code() == 503


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "answer",
    [
        *({"status": status} for status in (400, 403, 404)),
        {"body": requests.ConnectionError(f"to {SESSION}")},
    ],
)
def test_an_error_does_not_contain_the_session(
    repository: DirectArtifactRepository, script: responses.RequestsMock, answer: dict[str, Any]
) -> None:
    """A client with the URI of the session can write the object for a week."""
    script.post(ANY, headers={"Location": SESSION})
    script.put(SESSION, **answer)
    with pytest.raises(MlflowException, match="upload_id=…") as raised:
        upload(repository)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("folder", ["1/./run", "1//run", "./1", "1/..", "1/", "/1", "."])
def test_a_path_of_another_object_is_refused(
    repository: DirectArtifactRepository, script: responses.RequestsMock, folder: str
) -> None:
    """MLflow checks the permission on the path of the request. A URL without its dot segments is another one."""
    script.post(ANY, body=BEGUN)
    script.get(ANY, body="<Part>")
    script.delete(ANY, status=204)
    for action in (
        lambda: repository.create_multipart_upload("f.txt", 1, folder),
        lambda: repository.complete_multipart_upload("f.txt", "ID", [], folder),
        lambda: repository.abort_multipart_upload("f.txt", "ID", folder),
        lambda: repository.log_artifact_from_stream(io.BytesIO(b"x"), "f.txt", folder),
    ):
        with pytest.raises(MlflowException, match="Invalid artifact path") as raised:
            action()
        assert raised.value.get_http_status_code() == 400
    assert len(script.calls) == 0


def test_an_upload_uses_no_thread_of_permission_checks(
    repository: DirectArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow checks permissions in asyncio's default threads."""
    monkeypatch.setattr(artifacts.ObjectWriter, "finish", lambda _self: None)
    free = threading.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    async def with_busy_threads() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait, 60)
        try:
            async with asyncio.timeout(20):
                await repository.log_artifact_from_async_stream(content(), "f.txt", FOLDER)
        finally:
            free.set()
            await busy

    asyncio.run(with_busy_threads())


def test_a_chunk_is_held_once() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(MIB)

    async def held() -> int:
        async for _chunk in artifacts.joined(parts(), 8 * MIB):
            return tracemalloc.get_traced_memory()[0]
        raise AssertionError

    tracemalloc.start()
    try:
        assert asyncio.run(held()) < 11 * MIB
    finally:
        tracemalloc.stop()


# --- Signatures


class Slow(Account):
    """A service account that signs only when it is released. The first signature may fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.released, self.failures = threading.Event(), [failure] if failure else []

    def sign_bytes(self, message: bytes) -> bytes:
        if self.failures:
            raise self.failures.pop()
        self.released.wait(60)
        return super().sign_bytes(message)


@pytest.mark.parametrize(
    ("failure", "deadline", "raised"),
    [
        (None, 0.1, SigningError("100 signatures took more than 0 seconds")),
        (ValueError("broken"), 60, ValueError("broken")),
    ],
)
def test_signatures_that_nobody_waits_for_are_not_requested(
    repository: DirectArtifactRepository, failure: Exception | None, deadline: float, raised: Exception
) -> None:
    account = Slow(failure)
    signer = UrlSigner(account, deadline=deadline)
    try:
        with pytest.raises(type(raised), match=str(raised)):
            signer.urls(repository._blob("x"), "PUT", 60, [{"partNumber": str(number)} for number in range(100)])
    finally:
        account.released.set()
    signer._executor.shutdown()
    assert len(account.signed) <= CONCURRENT
    # The API works, so the next transfer may be direct.
    signer.check()
