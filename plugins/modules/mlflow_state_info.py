#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_state_info
short_description: Read the records of a deployment from its bucket
version_added: 0.1.0
description:
  - Reads the records that the playbooks keep in Cloud Storage, so that every control node finds them. A record is an
    object C(deployments/PROJECT/NAME/RECORD.json).
  - C(release) is the release of the last upgrade or rollback, C(restore) an interrupted restore, and C(temporary-*) the
    temporary resources of a rehearsal or drill.
  - Write and delete a record with M(mlops.mlflow_gcp.gcp_bucket_object).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
options:
  bucket:
    description: The bucket. If it does not exist, there are no records.
    type: str
    required: true
  deployment:
    description: The deployment, as PROJECT/NAME.
    type: str
    required: true
  directory:
    description:
      - Directory on the control node for the locked requirements of the recorded release. The module creates the
        directory and writes the file C(requirements-VERSION.txt), also in check mode. The file is a copy that may be
        deleted at any time.
    type: path
    required: true
attributes:
  check_mode:
    description: Changes nothing in Google Cloud.
    support: full
  diff_mode:
    description: Changes nothing in Google Cloud.
    support: none
"""

EXAMPLES = r"""
- name: Read the records of the deployment
  mlops.mlflow_gcp.mlflow_state_info:
    project: my-project
    bucket: my-project-mlflow-backups
    deployment: my-project/mlflow
    directory: /home/ann/.local/state/mlflow-gcp/my-project-mlflow/releases
  register: state
"""

RETURN = r"""
records:
  description:
    - The content of each record.
    - The record C(release) has C(requirements_file), the path of the locked requirements in O(directory).
  returned: success
  type: dict
  sample:
    release:
      version: 3.17.2
      since: "2026-11-21T14:40:00Z"
      requirements_file: /home/ann/.local/state/mlflow-gcp/my-project-mlflow/releases/requirements-3.17.2.txt
"""

import json
import os
import tempfile
from pathlib import Path

from ..module_utils import _formats, _objects
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError, Json
from ..module_utils._errors import RefusedError

SUFFIX = ".json"


class MlflowState(Action):
    """Read the records of a deployment."""

    api = "storage"
    doing = "read the records of deployment {deployment} in bucket {bucket}"
    formats = {"bucket": _formats.bucket}
    options = {
        "bucket": {"type": "str", "required": True},
        "deployment": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
    }

    def look(self) -> Plan:
        """Read every record."""
        prefix = self.fill("deployments/{deployment}/")
        records = {}
        for found in self._list(prefix):
            if found["name"].endswith(SUFFIX):
                records[found["name"].removeprefix(prefix).removesuffix(SUFFIX)] = self._record(found)
        if "release" in records:
            self._save_requirements(records["release"])
        return Plan(False, {"records": records})

    def _list(self, prefix: str) -> list[Json]:
        try:
            return list(_objects.list_objects(self.client, self.params["bucket"], "name,generation", prefix=prefix))
        except GoogleError as error:
            if error.code != 404 and not error.service_disabled:
                raise
            return []

    def _record(self, found: Json) -> Json:
        data = b"".join(_objects.read(self.client, self.params["bucket"], found["name"], found["generation"]))
        try:
            record = json.loads(data)
        except ValueError as error:
            raise RefusedError(f"gs://{self.params['bucket']}/{found['name']} is not a record: {error}.") from error
        if not isinstance(record, dict):
            raise RefusedError(f"gs://{self.params['bucket']}/{found['name']} is not a record.")
        return record

    def _save_requirements(self, release: Json) -> None:
        """Replace the text of the requirements in the record by the path of a file with the same text."""
        text = release.pop("requirements", "")
        directory = Path(self.params["directory"])
        path = directory / f"requirements-{Path(str(release.get('version'))).name}.txt"
        release["requirements_file"] = str(path)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A reader, such as another run, sees the complete file.
        handle, temporary = tempfile.mkstemp(dir=directory)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)


def main() -> None:
    """Run the module."""
    run_action(MlflowState)


if __name__ == "__main__":
    main()
