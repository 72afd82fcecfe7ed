#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket_manifest
short_description: Write down which generation of every object a bucket has
version_added: 0.1.0
description:
  - Lists the live objects of a bucket with their generations, sizes and checksums into one object of another bucket.
    With M(mlops.mlflow_gcp.gcp_bucket_restore) the bucket can be brought back to that for as long as the generations
    exist, which takes a bucket with versioning.
  - No object is copied, so it costs a listing and a few bytes an object, also where there are terabytes.
  - A manifest that is there is left as it is.
  - The object is gzip-compressed, one line of JSON an object after a first line that counts and guards them. It is
    gathered in a temporary file, not in memory.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  bucket:
    description: The bucket that is written down.
    type: str
    required: true
  manifest_bucket:
    description: The bucket that the manifest is written to. Not the same, where it would write down itself.
    type: str
    required: true
  name:
    description: The manifest's name, such as V(backups/monday/artifacts.ndjson.gz).
    type: str
    required: true
  progress_file:
    description:
      - File that the module writes its progress to while it runs.
      - Set by the task's action plugin, which prints the progress every ten seconds.
    type: path
"""

EXAMPLES = r"""
- name: Write down what there is
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
  description: What its first line says; null where it is absent or planned.
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
from ..module_utils._fields import Field
from ..module_utils._progress import OPTION, Progress
from ..module_utils._resource import RefusedError, Resource, run


class BucketManifest(Resource):
    """An object of storage.objects with what another bucket has."""

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
        """The manifest's object."""
        return _objects.path(self.params["manifest_bucket"], self.params["name"])

    def check_create(self) -> None:
        """A bucket without versions has nothing to come back to."""
        if self.params["bucket"] == self.params["manifest_bucket"]:
            raise RefusedError(f"{self.title} would be in the bucket that it writes down. Set another manifest_bucket.")

    def create(self, body: Json) -> None:
        """List into a file, then write the file; the name must still be free."""
        header = {"bucket": self.params["bucket"], "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as whole:
            try:
                header |= _manifest.write(lines, self._objects())
            except _manifest.ManifestError as error:
                raise RefusedError(f"Cannot write down bucket {header['bucket']}: {error}. Run again.") from error
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
        for item in _objects.each(self.client, self.params["bucket"], _manifest.FIELDS):
            progress.step()
            yield item

    def more(self, current: Json) -> Json:
        """Its first line, which the object has as metadata too."""
        said = current.get("metadata") or {}
        return {"manifest": {key: int(value) if key in {"objects", "bytes"} else value for key, value in said.items()}}

    def found(self) -> Json:
        """Nothing where there is none."""
        return {"manifest": None}


def main() -> None:
    """Entry point."""
    run(BucketManifest)


if __name__ == "__main__":
    main()
