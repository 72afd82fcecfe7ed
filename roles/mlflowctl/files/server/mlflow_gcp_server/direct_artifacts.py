# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Direct transfers of large artifacts between client and bucket, with signed URLs.

MLflow checks the permission of the caller on the path before it calls this class. Without a signature, the client
transfers the artifact through the server: MLflow's clients do so after the answer 501 to an upload, and after an answer
without a size to a download.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from google.resumable_media import InvalidResponse
from mlflow.entities.multipart_upload import CreateMultipartUploadResponse, MultipartUploadCredential
from mlflow.entities.presigned_download import PresignedDownloadUrlResponse
from mlflow.exceptions import MlflowException, _UnsupportedMultipartUploadException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.artifact.artifact_repo import MultipartDownloadMixin
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository, GCSMPUArguments

from .artifacts import CloudStorageArtifactRepository, artifact_name, check_folder
from .object_stream import RETRY
from .settings import DirectTransfers
from .signing import SigningError, UrlSigner

MAXIMAL_PARTS = 10_000
SECONDS_FOR_A_PART = 60
"""A client gets the URLs of all parts at once and cannot renew them, so the last part may start late."""
MAXIMAL_SECONDS = 12 * 3600
UNREACHED = (
    "The upload was aborted because no part has reached the bucket. If this client cannot reach storage.googleapis.com,"
    " set MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false on the client, or mlflow_direct_transfers: false for all clients."
)
THROUGH_THE_SERVER = PresignedDownloadUrlResponse(url="", headers={}, file_size=None)
"""The client then downloads through the server."""


@dataclass(frozen=True)
class _State:
    """The direct transfers of this process."""

    destination: str
    settings: DirectTransfers
    signer: UrlSigner


_state: _State | None = None


def allow(destination: str, settings: DirectTransfers) -> None:
    """Allow direct transfers of the artifacts below `destination`, the artifact store of the server."""
    global _state
    _state = _State(destination, settings, UrlSigner())


def repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """Return the repository of a location. Only the artifact store of the server has direct transfers."""
    arguments: dict[str, Any] = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
    if _state and artifact_uri == _state.destination:
        return DirectArtifactRepository(artifact_uri, state=_state, **arguments)
    return CloudStorageArtifactRepository(artifact_uri, **arguments)


class DirectArtifactRepository(CloudStorageArtifactRepository, MultipartDownloadMixin):  # type: ignore[misc]
    """Artifacts in the bucket of the server. Methods and arguments are those of MLflow."""

    def __init__(self, artifact_uri: str, *, state: _State, **arguments: Any) -> None:
        super().__init__(artifact_uri, **arguments)
        self._signer, self._settings = state.signer, state.settings

    @staticmethod
    def _gcs_mpu_arguments(filename: str, blob: Any) -> GCSMPUArguments:
        """Quote the name of the object, which MLflow does not. A question mark would begin the query."""
        arguments = GCSArtifactRepository._gcs_mpu_arguments(filename, blob)
        root = arguments.url.removesuffix(f"/{blob.bucket.name}/{blob.name}")
        return arguments._replace(url=f"{root}/{blob.bucket.name}/{quote(blob.name, safe='/~')}")

    def create_multipart_upload(self, local_file: str, num_parts: int = 1, artifact_path: str | None = None) -> Any:
        """Begin an upload and return a URL for each part."""
        name = artifact_name(local_file)
        check_folder(artifact_path)
        if not 1 <= num_parts <= MAXIMAL_PARTS:
            message = f"Cannot upload {name}: {num_parts} parts. Set 1 to {MAXIMAL_PARTS} parts."
            raise MlflowException(message, INVALID_PARAMETER_VALUE)
        try:
            self._signer.check()
            with self._explained(f"write {name}", "storage.multipartUploads.create"):
                # Without parts, MLflow signs nothing.
                upload_id = GCSArtifactRepository.create_multipart_upload(self, name, 0, artifact_path).upload_id
            try:
                urls = self._part_urls(posixpath.join(artifact_path or "", name), upload_id, num_parts)
            except SigningError:
                with suppress(MlflowException):
                    self._abort(name, upload_id, artifact_path)
                raise
        except SigningError as error:
            raise _UnsupportedMultipartUploadException from error
        credentials = [MultipartUploadCredential(url, number, {}) for number, url in enumerate(urls, 1)]
        return CreateMultipartUploadResponse(upload_id=upload_id, credentials=credentials)

    def _part_urls(self, path: str, upload_id: str, parts: int) -> list[str]:
        seconds = min(self._settings.url_seconds + SECONDS_FOR_A_PART * parts, MAXIMAL_SECONDS)
        queries = [{"partNumber": str(number), "uploadId": upload_id} for number in range(1, parts + 1)]
        return self._signer.urls(self._blob(path), "PUT", seconds, queries)

    def complete_multipart_upload(
        self, local_file: str, upload_id: str, parts: Any = None, artifact_path: str | None = None
    ) -> None:
        """Create the object from its parts."""
        name = artifact_name(local_file)
        check_folder(artifact_path)
        with self._explained(f"complete the upload of {name}", "storage.multipartUploads.create"):
            GCSArtifactRepository.complete_multipart_upload(self, name, _quoted(upload_id), parts or [], artifact_path)

    def abort_multipart_upload(self, local_file: str, upload_id: str, artifact_path: str | None = None) -> None:
        """Remove the parts. The client shows the error, and no other one, if no part has arrived."""
        name = artifact_name(local_file)
        check_folder(artifact_path)
        arrived = self._has_parts(name, _quoted(upload_id), artifact_path)
        self._abort(name, upload_id, artifact_path)
        if not arrived:
            raise MlflowException(UNREACHED, INVALID_PARAMETER_VALUE)

    def _abort(self, name: str, upload_id: str, artifact_path: str | None) -> None:
        with self._explained(f"abort the upload of {name}", "storage.multipartUploads.abort"):
            GCSArtifactRepository.abort_multipart_upload(self, name, _quoted(upload_id), artifact_path)

    def _has_parts(self, name: str, upload_id: str, artifact_path: str | None) -> bool:
        arguments = self._gcs_mpu_arguments(name, self._blob(artifact_path, name))
        with self._explained(f"list the parts of {name}", "storage.multipartUploads.listParts"):
            response = arguments.transport.get(f"{arguments.url}?uploadId={upload_id}", timeout=60)
            if not response.ok:
                raise InvalidResponse(response)
        return b"<Part>" in response.content

    def get_download_presigned_url(self, artifact_path: str, expiration: int = 300) -> PresignedDownloadUrlResponse:
        """Return a URL for the current version of an artifact."""
        artifact_name(artifact_path)
        blob = self._blob(artifact_path)
        with self._explained(f"read {artifact_path}", "storage.objects.get"):
            blob.reload(retry=RETRY, timeout=self._GCS_DEFAULT_TIMEOUT)
        # Parts of a compressed object cannot be decoded alone.
        if blob.size < self._settings.minimum_bytes or blob.content_encoding:
            return THROUGH_THE_SERVER
        try:
            query = {"generation": str(blob.generation)}
            (url,) = self._signer.urls(blob, "GET", min(self._settings.url_seconds, MAXIMAL_SECONDS), [query])
        except SigningError:
            return THROUGH_THE_SERVER
        return PresignedDownloadUrlResponse(url=url, headers={}, file_size=blob.size)


def _quoted(upload_id: str) -> str:
    """Return an ID for a query. Without one, an abort would delete the object."""
    if not upload_id:
        raise MlflowException("Cannot change an upload: upload_id is empty.", INVALID_PARAMETER_VALUE)
    return quote(upload_id, safe="")
