# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The artifact store, reached with the identity of this process."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import FailedError
from ..launch import SERVER_MODULES


def _repository(uri: str) -> Any:
    """Return the repository of a location. That of the server keeps noncurrent versions, which backups refer to."""
    if uri.startswith("gs:"):
        if str(SERVER_MODULES) not in sys.path:
            sys.path.insert(0, str(SERVER_MODULES))
        from mlflow_gcp_server.artifacts import CloudStorageArtifactRepository

        return CloudStorageArtifactRepository(uri)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)


class Artifacts:
    """The artifact store, reached with the identity of this process."""

    def __init__(self, destination: str, hosts: Iterable[str] = ()) -> None:
        """Take the server's artifacts destination and the names under which the server is reached."""
        self._destination = destination
        self._hosts = set(hosts)

    def _place(self, location: str, owner: str) -> tuple[Any, str | None]:
        """Return the repository that holds a location, and the path in it."""
        parts = urlsplit(location)
        proxied = parts.scheme == "mlflow-artifacts"
        # Clients send the path of a proxied location as part of a URL.
        path = unquote(parts.path) if proxied else parts.path
        names = path.split("/")
        # Never delete a directory that other items share.
        if owner not in names or ".." in names:
            raise FailedError(
                f"artifact location '{location}' is not a directory of its own. Delete the artifacts by hand"
            )
        if proxied and parts.netloc and parts.netloc not in self._hosts:
            raise FailedError(f"artifacts are on another server: '{location}'. Delete them there")
        if proxied:
            return _repository(self._destination), path.strip("/")
        if parts.scheme in ("gs", "file", ""):
            return _repository(location), None
        raise FailedError(
            f"artifact location '{location}' is not in a store of this server. Delete the artifacts by hand"
        )

    def delete(self, location: str, owner: str) -> None:
        """Delete all files in a location of `owner`. An empty location is no error."""
        repository, path = self._place(location, owner)
        repository.delete_artifacts(path)

    def measure(self, location: str, owner: str) -> tuple[int, int]:
        """Return the number of files in a location, and their bytes."""
        repository, path = self._place(location, owner)
        files = list(self._walk(repository, path))
        return len(files), sum(entry.file_size or 0 for entry in files)

    def _walk(self, repository: Any, path: str | None) -> Iterator[Any]:
        for entry in repository.list_artifacts(path):
            if entry.is_dir:
                # For the root of a bucket MLflow returns paths without their first letter; the last name is right.
                yield from self._walk(repository, posixpath.join(path or "", posixpath.basename(entry.path)))
            else:
                yield entry
