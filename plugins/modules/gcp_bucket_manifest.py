#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket_manifest
short_description: Record the generation of every object of a bucket
version_added: 0.1.0
description:
  - Lists the live objects of a bucket with their generations, sizes and checksums in one object of another bucket.
    M(mlops.mlflow_gcp.gcp_bucket_restore) can restore the bucket from this manifest while the generations exist. The
    bucket needs versioning.
  - No object is copied. The cost is a listing and a few bytes for each object, also for terabytes of data.
  - An existing manifest is not changed.
  - The manifest is gzip-compressed. The first line contains the counts and a checksum. Each other line describes one
    object in JSON. The module collects the lines in a temporary file, not in memory.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.progress
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  bucket:
    description: The bucket to record.
    type: str
    required: true
  manifest_bucket:
    description: The bucket of the manifest. Must differ from O(bucket), or the manifest would record itself.
    type: str
    required: true
  name:
    description: Name of the manifest, such as V(backups/monday/artifacts.ndjson.gz).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Record the objects of the artifact bucket
  mlops.mlflow_gcp.gcp_bucket_manifest:
    project: my-project
    bucket: my-project-mlflow-artifacts
    manifest_bucket: my-project-mlflow-backups
    name: backups/monday/artifacts.ndjson.gz
"""

RETURN = r"""
resource:
  description: >-
    The manifest's object as the API returns it, U(https://cloud.google.com/storage/docs/json_api/v1/objects).
    Null when absent.
  returned: success
  type: dict
manifest:
  description: The manifest's first line. Null if the manifest is absent or planned.
  returned: success
  type: dict
  sample:
    bucket: my-project-mlflow-artifacts
    objects: 1200
    bytes: 31457280
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    time: "2026-11-21T13:00:01Z"
"""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from ..module_utils import _formats, _manifest, _objects
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._progress import OPTION, Progress
from ..module_utils._resource import Resource


class BucketManifest(Resource):
    """Manage an object of storage.objects that records the objects of another bucket."""

    api = "storage"
    kind = "manifest"
    formats = {"bucket": _formats.bucket, "manifest_bucket": _formats.bucket, "name": _formats.object_name}
    options = {
        "bucket": {"type": "str", "required": True},
        "manifest_bucket": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        **OPTION,
    }
    fields = {"bucket": Field(at="metadata.bucket", immutable=True)}
    create_body = {}

    @property
    def self_path(self) -> str:
        """Return the path of the manifest's object."""
        return _objects.path(self.params["manifest_bucket"], self.params["name"])

    def check_create(self) -> None:
        """Refuse a manifest in the bucket that it records."""
        if self.params["bucket"] == self.params["manifest_bucket"]:
            raise RefusedError(
                f"Cannot create {self.title} in the bucket that it records. Set another manifest_bucket."
            )

    def create(self, body: Json) -> None:
        """Write the list to a temporary file, then upload the file if the name is still free."""
        header = {"bucket": self.params["bucket"], "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as whole:
            try:
                header |= _manifest.write(lines, self._objects())
            except _manifest.ManifestError as error:
                raise RefusedError(f"Cannot record bucket {header['bucket']}: {error}. Run again.") from error
            whole.write(_manifest.head(header))
            lines.seek(0)
            shutil.copyfileobj(lines, whole)
            size = whole.tell()
            resource = {
                "name": self.params["name"],
                "contentType": _manifest.CONTENT_TYPE,
                "metadata": {key: str(value) for key, value in header.items()},
            }
            _objects.upload(self.client, self.params["manifest_bucket"], resource, whole, size, generation="0")

    def _objects(self) -> Iterator[Json]:
        progress = Progress(self.params["progress_file"], self.client.clock)
        progress.begin(f"Bucket {self.params['bucket']}: {{}} objects listed")
        for item in _objects.list_objects(self.client, self.params["bucket"], _manifest.FIELDS):
            progress.step()
            yield item

    def more(self, current: Json) -> Json:
        """Return the manifest's first line, which is also in the object's metadata."""
        said = current.get("metadata") or {}
        return {"manifest": {key: int(value) if key in {"objects", "bytes"} else value for key, value in said.items()}}

    def found(self) -> Json:
        """Return null values for an absent manifest."""
        return {"manifest": None}


def main() -> None:
    """Run the module."""
    run(BucketManifest)


if __name__ == "__main__":
    main()
