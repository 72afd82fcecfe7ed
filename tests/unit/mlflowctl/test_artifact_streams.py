# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Streams to and from a bucket of a local cloud in memory."""

from __future__ import annotations

import asyncio
import gc
import gzip
import io
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import mlflow.store.artifact.artifact_repository_registry  # noqa: F401 - MLflow imports the package
import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2.credentials import Credentials
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository
from mlflow_gcp_server import object_stream
from mlflow_gcp_server.artifacts import CloudStorageArtifactRepository, joined
from mlflow_gcp_server.object_stream import WRITE_BYTES

from tests.localcloud.harness import PLATFORM, Local

FOLDER = "0/run/artifacts"
NAMES = ["model.pkl", "a b.csv", "100%.txt", "what?.json", "ä/ö.bin", "a+b&c=d"]


def at(url: str, credentials: Any) -> storage.Client:
    """Return a client of the service at a URL."""
    return storage.Client(project="mlflow-local", credentials=credentials, client_options={"api_endpoint": url})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    running = Local(tmp_path_factory.mktemp("local"))
    running.start()
    running.enable("storage")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(local: Local) -> storage.Client:
    """Return a client of a local cloud with a bucket."""
    client = at(local.url, local.credentials())
    client.create_bucket("my-bucket")
    return client


@pytest.fixture
def repository(client: storage.Client) -> CloudStorageArtifactRepository:
    return CloudStorageArtifactRepository("gs://my-bucket/root", client=client)


async def pieces(content: bytes, size: int = 65_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def upload(repository: CloudStorageArtifactRepository, name: str, content: bytes) -> None:
    asyncio.run(repository.log_artifact_from_async_stream(pieces(content), name, FOLDER))


def blob(client: storage.Client, name: str) -> Any:
    return client.bucket("my-bucket").blob(f"root/{FOLDER}/{name}")


class Broken:
    """A session whose responses end after some bytes of their content."""

    def __init__(self, session: Any, *lengths: int) -> None:
        self.session, self.lengths, self.requests = session, list(lengths), []

    def get(self, url: str, **arguments: Any) -> requests.Response:
        self.requests.append((arguments["headers"].get("Range"), arguments["params"].get("generation")))
        response = self.session.get(url, **arguments)
        if self.lengths:
            length, content = self.lengths.pop(0), response.content

            def broken(size: int) -> Iterator[bytes]:
                yield content[:length]
                raise requests.ConnectionError("reset")

            response.iter_content = broken
        return response


@pytest.mark.parametrize("size", [0, 1, WRITE_BYTES, WRITE_BYTES + 1, 2 * WRITE_BYTES, 2 * WRITE_BYTES + 77])
def test_streams_are_byte_equal(repository: CloudStorageArtifactRepository, size: int) -> None:
    content = os.urandom(size)
    upload(repository, "f.bin", content)
    reader = repository.open_object(f"{FOLDER}/f.bin")
    assert (reader.size, b"".join(reader)) == (size, content)
    repository.log_artifact_from_stream(io.BytesIO(content), "g.bin", FOLDER)
    assert b"".join(repository.open_object(f"{FOLDER}/g.bin")) == content


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_those_of_mlflow_s_own_repository(
    repository: CloudStorageArtifactRepository, client: storage.Client, tmp_path: Path, name: str
) -> None:
    """Runs stay readable with and without the package."""
    own = GCSArtifactRepository("gs://my-bucket/root", client=client)
    folder, _, file = f"{FOLDER}/{name}".rpartition("/")
    (tmp_path / file).write_text("by MLflow")
    own.log_artifact(str(tmp_path / file), folder)
    assert b"".join(repository.open_object(f"{FOLDER}/{name}")) == b"by MLflow"
    written = blob(client, name)
    written.reload()
    asyncio.run(repository.log_artifact_from_async_stream(pieces(b"by the package"), file, folder))
    own._download_file(f"{FOLDER}/{name}", str(tmp_path / "downloaded"))
    assert (tmp_path / "downloaded").read_bytes() == b"by the package"
    replaced = blob(client, name)
    replaced.reload()
    assert replaced.content_type == written.content_type


def test_chunks_are_joined() -> None:
    async def collected(content: bytes, size: int) -> list[bytes]:
        return [chunk async for chunk in joined(pieces(content, 3), size)]

    assert asyncio.run(collected(b"abcdefgh", 4)) == [b"abcdef", b"gh"]
    assert asyncio.run(collected(b"abcdefghi", 2)) == [b"abc", b"def", b"ghi"]
    assert asyncio.run(collected(b"", 2)) == []


def test_an_interrupted_upload_keeps_the_former_object(
    repository: CloudStorageArtifactRepository, client: storage.Client
) -> None:
    upload(repository, "kept.bin", b"former")

    async def interrupted(size: int) -> AsyncIterator[bytes]:
        yield bytes(size)
        raise ConnectionError("the client is gone")

    for size in (10, 3 * WRITE_BYTES):
        with pytest.raises(ConnectionError):
            asyncio.run(repository.log_artifact_from_async_stream(interrupted(size), "kept.bin", FOLDER))
    gc.collect()
    assert blob(client, "kept.bin").download_as_bytes() == b"former"


def test_an_abandoned_upload_creates_no_object(client: storage.Client) -> None:
    """Python closes an abandoned file."""
    writer = object_stream.ObjectWriter(blob(client, "abandoned.bin"), 10)
    for _ in range(3):
        writer.write(bytes(WRITE_BYTES))
    del writer
    gc.collect()
    assert not blob(client, "abandoned.bin").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/", "a/.."])
def test_a_name_that_is_a_directory_is_refused(repository: CloudStorageArtifactRepository, name: str) -> None:
    with pytest.raises(MlflowException, match="Invalid artifact file name"):
        upload(repository, name, b"x")


def test_a_broken_download_is_resumed(repository: CloudStorageArtifactRepository, client: storage.Client) -> None:
    content = os.urandom(100_000)
    upload(repository, "f.bin", content)
    reader = repository.open_object(f"{FOLDER}/f.bin")
    broken = Broken(client._http, 30_000, 70_000)
    reader._session = broken
    reader._response = reader._open(0)
    assert b"".join(reader) == content
    current = blob(client, "f.bin")
    current.reload()
    generation = str(current.generation)
    assert broken.requests == [(None, generation), ("bytes=30000-", generation)]


def test_a_resumed_download_never_mixes_two_versions(
    repository: CloudStorageArtifactRepository, client: storage.Client
) -> None:
    upload(repository, "f.bin", b"first version")
    reader = repository.open_object(f"{FOLDER}/f.bin")
    reader._session = Broken(client._http, 5)
    reader._response = reader._open(0)
    upload(repository, "f.bin", b"other version")
    with pytest.raises(Exception, match="No such object"):
        list(reader)


def test_a_download_with_a_wrong_checksum_ends_before_the_last_block(
    repository: CloudStorageArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has fewer bytes than announced, so it cannot take the content for complete."""
    monkeypatch.setattr(object_stream, "READ_BYTES", 1000)
    content = os.urandom(2500)
    upload(repository, "f.bin", content)
    reader = repository.open_object(f"{FOLDER}/f.bin")
    reader._checksum = "AAAAAA=="
    received: list[bytes] = []
    with pytest.raises(OSError, match="checksum"):
        received.extend(reader)
    assert b"".join(received) == content[:2000]


def test_a_compressed_object_is_decoded(repository: CloudStorageArtifactRepository, client: storage.Client) -> None:
    compressed = blob(client, "log.txt")
    compressed.content_encoding = "gzip"
    compressed.upload_from_string(gzip.compress(b"a line\n" * 1000))
    reader = repository.open_object(f"{FOLDER}/log.txt")
    assert reader.size is None
    assert b"".join(reader) == b"a line\n" * 1000


def test_a_missing_object(repository: CloudStorageArtifactRepository) -> None:
    with pytest.raises(MlflowException, match=r"Cannot read nope.*No such object") as raised:
        repository.open_object("nope")
    assert raised.value.get_http_status_code() == 404


@pytest.mark.parametrize("size", [1, 3 * WRITE_BYTES])
def test_a_missing_permission(local: Local, client: storage.Client, size: int) -> None:
    token = local.cloud.auth.issue_access_token(local.account(f"stranger-{size}"), [PLATFORM]).token
    stranger = CloudStorageArtifactRepository("gs://my-bucket/root", client=at(local.url, Credentials(token)))
    with pytest.raises(
        MlflowException, match=r"lacks the permission storage\.objects\.create on bucket my-bucket"
    ) as no:
        upload(stranger, "f.bin", bytes(size))
    assert no.value.get_http_status_code() == 403


def test_an_unreachable_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client repeats a request after 503."""
    monkeypatch.setattr(object_stream, "RETRY", object_stream.RETRY.with_timeout(0.1))
    client = at("http://127.0.0.1:9", AnonymousCredentials())
    away = CloudStorageArtifactRepository("gs://my-bucket/root", client=client)
    for action in (lambda: upload(away, "f.bin", b"x"), lambda: away.open_object("f.bin")):
        with pytest.raises(MlflowException, match="does not answer") as unreachable:
            action()
        assert unreachable.value.get_http_status_code() == 503
