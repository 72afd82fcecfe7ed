#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket_object
short_description: Manage a small text object in a bucket
version_added: 0.1.0
description:
  - Writes, reads and deletes an object of a Cloud Storage bucket. The module is for records and settings of a few
    kilobytes. Use C(gcloud storage) for files.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  bucket:
    description: The bucket.
    type: str
    required: true
  name:
    description: Name of the object.
    type: str
    required: true
  content:
    description:
      - Content of the object. Needed to create the object.
      - If not set, an existing object is not changed.
    type: str
  content_type:
    description: Media type of the content. Set when the object is written.
    type: str
    default: application/json
  return_content:
    description: Whether to return RV(content).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write a record
  mlops.mlflow_gcp.gcp_bucket_object:
    project: my-project
    bucket: my-project-mlflow-backups
    name: backups/monday/backup.json
    content: "{{ {'name': 'monday'} | to_json }}"
"""

RETURN = r"""
resource:
  description: >-
    The object as the API returns it, U(https://cloud.google.com/storage/docs/json_api/v1/objects).
    Null when absent.
  returned: success
  type: dict
content:
  description: Content of the object. Null if the object is absent or planned.
  returned: with O(return_content=true)
  type: str
"""

import base64
import hashlib
import io
from typing import Any

from ..module_utils import _formats, _objects
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource


class BucketObject(Resource):
    """Manage small storage.objects."""

    api = "storage"
    kind = "object"
    create_body = {}
    formats = {"bucket": _formats.bucket, "name": _formats.object_name}
    options = {
        "bucket": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "content": {"type": "str"},
        "content_type": {"type": "str", "default": "application/json"},
        "return_content": {"type": "bool", "default": False},
    }
    fields = {"content": Field(at="md5Hash", convert="md5", via="write")}

    @property
    def self_path(self) -> str:
        """Return the path of the object."""
        return _objects.path(self.params["bucket"], self.params["name"])

    @property
    def title(self) -> str:
        """Return the names of the object and its bucket."""
        return f"{self.kind} {self.params['name']} of bucket {self.params['bucket']}"

    def md5(self, value: str) -> str:
        """Return the content's MD5 checksum, by which contents are compared."""
        return base64.b64encode(hashlib.md5(value.encode(), usedforsecurity=False).digest()).decode()

    def check_create(self) -> None:
        """Require content to create the object."""
        if self.params["content"] is None:
            raise RefusedError(f"{self.title} does not exist. To create it, set content.")

    def create(self, body: Json) -> None:
        """Write the object if its name is still free."""
        self._write("0")

    def write(self, body: Json, current: Json) -> None:
        """Replace the generation that was compared."""
        self._write(current["generation"])

    def _write(self, generation: str) -> None:
        data = self.params["content"].encode()
        resource = {"name": self.params["name"], "contentType": self.params["content_type"]}
        _objects.upload(self.client, self.params["bucket"], resource, io.BytesIO(data), len(data), generation)

    def more(self, current: Json) -> Json:
        """Return the content if ``return_content`` is set."""
        if not self.params["return_content"]:
            return {}
        pieces = _objects.read(self.client, self.params["bucket"], self.params["name"], current["generation"])
        return {"content": b"".join(pieces).decode()}

    def found(self) -> Json:
        """Return null values for an absent object."""
        empty: dict[str, Any] = {"content": None}
        return empty if self.params["return_content"] else {}


def main() -> None:
    """Run the module."""
    run(BucketObject)


if __name__ == "__main__":
    main()
