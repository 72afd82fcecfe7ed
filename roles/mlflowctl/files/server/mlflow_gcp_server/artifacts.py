# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's artifact repository for gs://, with errors that name the cause.

MLflow answers 500 to every error of Cloud Storage, and clients repeat such a request for minutes. This class answers
404 for a missing object, 403 with the name of a missing permission, and 503 only for an unreachable bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core import exceptions as google
from google.auth.exceptions import TransportError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository

UNREACHABLE = (
    google.ServerError,
    google.TooManyRequests,
    google.RetryError,
    requests.ConnectionError,
    requests.Timeout,
    TransportError,
)


class CloudStorageArtifactRepository(GCSArtifactRepository):  # type: ignore[misc]
    """Artifacts in a bucket. Methods and arguments are those of MLflow's own class."""

    @contextmanager
    def _explained(self, action: str, permission: str) -> Iterator[None]:
        """Turn errors of Cloud Storage into MLflow's. `action` is a verb and its object: "read models/a"."""
        bucket = self.parse_gcs_uri(self.artifact_uri)[0]
        failed = f"Cannot {action} in bucket {bucket}"
        try:
            yield
        except google.NotFound as error:
            message = f"{failed}: the object or the bucket does not exist. Cloud Storage says: {error.message}"
            raise MlflowException(message, RESOURCE_DOES_NOT_EXIST) from error
        except (google.Forbidden, google.Unauthorized) as error:
            message = (
                f"{failed}: the server's service account lacks the permission {permission} on bucket {bucket}."
                f" Run site.yml, which grants it. Cloud Storage says: {error.message}"
            )
            raise MlflowException(message, PERMISSION_DENIED) from error
        except UNREACHABLE as error:
            message = f"{failed}: Cloud Storage does not answer. Try again later. Cause: {error}"
            raise MlflowException(message, TEMPORARILY_UNAVAILABLE) from error

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
        """Delete an object, or all objects of a directory."""
        with self._explained(f"delete {artifact_path or 'the root'}", "storage.objects.delete"):
            super().delete_artifacts(artifact_path)
