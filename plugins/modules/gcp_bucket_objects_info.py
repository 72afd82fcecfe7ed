#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket_objects_info
short_description: List objects of a bucket
version_added: 0.1.0
description:
  - Lists the live objects of a Cloud Storage bucket, and reads small objects.
  - If the bucket does not exist, the list is empty.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.info
  - mlops.mlflow_gcp.gcp
options:
  bucket:
    description: The bucket.
    type: str
    required: true
  prefix:
    description: Prefix of the objects' names.
    type: str
    default: ''
  match:
    description:
      - Pattern of the objects' names, such as V(backups/*/backup.json). C(*) does not match a slash, C(**) does.
    type: str
  return_content:
    description: Whether to read each object and return it as C(content).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Read the records of all backups
  mlops.mlflow_gcp.gcp_bucket_objects_info:
    project: my-project
    bucket: my-project-mlflow-backups
    match: backups/*/backup.json
    return_content: true
  register: records
"""

RETURN = r"""
objects:
  description: >-
    The objects in the order of their names, as the API returns them,
    U(https://cloud.google.com/storage/docs/json_api/v1/objects).
  returned: success
  type: list
  elements: dict
  sample:
    - name: backups/monday/backup.json
      generation: "1795266000000000"
      size: "300"
      timeCreated: "2026-11-21T13:00:01.000Z"
      content: "{}"
"""

from ..module_utils import _formats, _objects
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError

FIELDS = "name,generation,size,timeCreated,updated,contentType,md5Hash,crc32c,metadata"


class BucketObjects(Action):
    """List storage.objects."""

    api = "storage"
    doing = "list bucket {bucket}"
    formats = {"bucket": _formats.bucket}
    options = {
        "bucket": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "match": {"type": "str"},
        "return_content": {"type": "bool", "default": False},
    }

    def look(self) -> Plan:
        """List the objects and read their contents."""
        query = {"prefix": self.params["prefix"], "matchGlob": self.params["match"]}
        query = {key: value for key, value in query.items() if value}
        bucket = self.params["bucket"]
        try:
            objects = list(_objects.list_objects(self.client, bucket, FIELDS, **query))
        except GoogleError as error:
            if error.code != 404:
                raise
            objects = []
        for found in objects if self.params["return_content"] else ():
            pieces = _objects.read(self.client, bucket, found["name"], found["generation"])
            found["content"] = b"".join(pieces).decode()
        return Plan(False, {"objects": objects})


def main() -> None:
    """Run the module."""
    run_action(BucketObjects)


if __name__ == "__main__":
    main()
