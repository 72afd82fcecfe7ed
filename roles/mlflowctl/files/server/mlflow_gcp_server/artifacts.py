# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's artifact repository for gs://, with streams and with errors that name the cause.

MLflow writes each artifact to a temporary file in both directions. This class streams it.

MLflow answers 500 to every error of Cloud Storage, and clients repeat such a request for minutes. This class answers
404 for a missing object, 403 with the name of a missing permission, and 503 only for an unreachable bucket.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

import requests
from google.api_core import exceptions as google
from google.auth.exceptions import GoogleAuthError
from google.resumable_media import InvalidResponse
from mlflow.exceptions import MlflowException, _UnsupportedMultipartUploadException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)
from mlflow.store.artifact.artifact_repo import StreamUploadMixin
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository

from .object_stream import WRITE_BYTES, ObjectReader, ObjectWriter

UNREACHABLE = (
    google.ServerError,
    google.TooManyRequests,
    google.RetryError,
    requests.ConnectionError,
    requests.Timeout,
    GoogleAuthError,
)


WRITERS = ThreadPoolExecutor(32, thread_name_prefix="write-object")
"""Threads for uploads of a process. A slow bucket cannot delay permission checks, in asyncio's default threads."""


async def joined(chunks: AsyncIterable[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the content of `chunks` in larger chunks of at least `size` bytes. The last one may be smaller."""
    collected, length = [], 0
    async for chunk in chunks:
        collected.append(chunk)
        length += len(chunk)
        if length >= size:
            joined_chunk = b"".join(collected)
            # Free the parts now, not after the chunk was sent.
            collected, length = [], 0
            yield joined_chunk
    if length:
        yield b"".join(collected)


def artifact_name(path: str) -> str:
    """Return the last part of a path. Raise MlflowException if it is no name of a file."""
    name = posixpath.basename(path)
    if name in ("", ".", ".."):
        raise MlflowException(f"Invalid artifact file name: {path!r}", INVALID_PARAMETER_VALUE)
    return name


def check_folder(path: str | None) -> None:
    """Raise MlflowException if a URL with this path could lead to an object of another path."""
    if path and not {"", ".", ".."}.isdisjoint(path.split("/")):
        message = f"Invalid artifact path: {path!r}. Use a path without empty, '.' and '..' parts."
        raise MlflowException(message, INVALID_PARAMETER_VALUE)


def _public(text: object) -> str:
    """Return the text of an error without IDs of uploads. The ID of a session is a credential for a week."""
    return re.sub(r"(upload_?id(?:=|%3D))[^&\s]+", r"\1…", str(text), flags=re.IGNORECASE)


@contextmanager
def _as_api_error() -> Iterator[None]:
    """Raise the error of an upload in a session as the error of other requests."""
    try:
        yield
    except InvalidResponse as error:
        raise google.from_http_response(error.response) from error


class CloudStorageArtifactRepository(GCSArtifactRepository, StreamUploadMixin):  # type: ignore[misc]
    """Artifacts in a bucket. Methods and arguments are those of MLflow's own class."""

    @contextmanager
    def _explained(self, action: str, permission: str) -> Iterator[None]:
        """Turn errors of Cloud Storage into MLflow's. `action` is a verb and its object: "read models/a"."""
        bucket = self.parse_gcs_uri(self.artifact_uri)[0]
        failed = f"Cannot {action} in bucket {bucket}"
        try:
            with _as_api_error():
                yield
        except google.NotFound as error:
            message = f"{failed}: the object or the bucket does not exist. Cloud Storage says: {_public(error.message)}"
            raise MlflowException(message, RESOURCE_DOES_NOT_EXIST) from error
        except (google.Forbidden, google.Unauthorized) as error:
            message = (
                f"{failed}: the server's service account lacks the permission {permission} on bucket {bucket}."
                f" Run site.yml, which grants it. Cloud Storage says: {_public(error.message)}"
            )
            raise MlflowException(message, PERMISSION_DENIED) from error
        except google.BadRequest as error:
            message = f"{failed}. Cloud Storage says: {_public(error.message)}"
            raise MlflowException(message, INVALID_PARAMETER_VALUE) from error
        except UNREACHABLE as error:
            message = f"{failed}: Cloud Storage does not answer. Try again later. Cause: {_public(error)}"
            raise MlflowException(message, TEMPORARILY_UNAVAILABLE) from error

    def _blob(self, *parts: str | None) -> Any:
        """Return an object below the root."""
        bucket, root = self.parse_gcs_uri(self.artifact_uri)
        return self.client.bucket(bucket).blob(posixpath.join(root, *(part for part in parts if part)))

    def _writer(self, file_name: str, artifact_path: str | None) -> ObjectWriter:
        check_folder(artifact_path)
        return ObjectWriter(self._blob(artifact_path, artifact_name(file_name)), self._GCS_DEFAULT_TIMEOUT)

    def open_object(self, path: str) -> ObjectReader:
        """Open an artifact for a response."""
        artifact_name(path)
        with self._explained(f"read {path}", "storage.objects.get"):
            return ObjectReader(self._blob(path), self._GCS_DEFAULT_TIMEOUT)

    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Upload a stream."""
        writer = self._writer(artifact_file_name, artifact_path)
        with self._explained(f"write {artifact_file_name}", "storage.objects.create"):
            while chunk := stream.read(WRITE_BYTES):
                writer.write(chunk)
            writer.finish()

    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Upload a stream. One chunk is sent to the bucket while the next one arrives."""
        writer = self._writer(artifact_file_name, artifact_path)
        in_thread = partial(asyncio.get_running_loop().run_in_executor, WRITERS)
        sending: asyncio.Future[None] | None = None
        with self._explained(f"write {artifact_file_name}", "storage.objects.create"):
            try:
                async for chunk in joined(chunks, WRITE_BYTES):
                    if sending:
                        await sending
                    sending = in_thread(writer.write, chunk)
            finally:
                # Also if the client is gone: asyncio reports the error of a task without an await.
                if sending:
                    await sending
            await in_thread(writer.finish)

    def create_multipart_upload(self, local_file: str, num_parts: int = 1, artifact_path: str | None = None) -> Any:
        """Refuse. The client then uploads through the server. MLflow's own method needs a private key."""
        raise _UnsupportedMultipartUploadException

    def complete_multipart_upload(
        self, local_file: str, upload_id: str, parts: Any = None, artifact_path: str | None = None
    ) -> None:
        """Refuse. MLflow's own method sends the names as they are to the bucket."""
        raise _UnsupportedMultipartUploadException

    def abort_multipart_upload(self, local_file: str, upload_id: str, artifact_path: str | None = None) -> None:
        """Refuse. With some names and IDs, the request of MLflow's own method deletes an object."""
        raise _UnsupportedMultipartUploadException

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Upload a file."""
        with self._explained(f"write to {artifact_path or 'the root'}", "storage.objects.create"):
            super().log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Upload a directory."""
        with self._explained(f"write to {artifact_path or 'the root'}", "storage.objects.create"):
            super().log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[Any]:
        """List a directory."""
        with self._explained(f"list {path or 'the root'}", "storage.objects.list"):
            listed: list[Any] = super().list_artifacts(path)
            return listed

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        with self._explained(f"read {remote_file_path}", "storage.objects.get"):
            super()._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete an object, or all objects of a directory. A bucket with versioning keeps them as noncurrent versions.

        MLflow's own method names the generation of each object, and so deletes it permanently.
        """
        bucket, root = self.parse_gcs_uri(self.artifact_uri)
        path = posixpath.join(root, artifact_path or "").rstrip("/")
        with self._explained(f"delete {artifact_path or 'the root'}", "storage.objects.delete"):
            found = self._get_bucket(bucket)
            for blob in found.list_blobs(prefix=path):
                if not path or f"{blob.name}/".startswith(f"{path}/"):
                    # Another client may have deleted it.
                    with suppress(google.NotFound):
                        found.delete_blob(blob.name)
