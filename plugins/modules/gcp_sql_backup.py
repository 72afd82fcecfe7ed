#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_backup
short_description: Create and delete on-demand backups of a Cloud SQL instance
version_added: 0.1.0
description:
  - Creates an on-demand backup of a Cloud SQL instance, or deletes on-demand backups.
  - A backup run has no name and no labels, so O(description) identifies the backup. If a backup with this description
    succeeded or is being created, the module changes nothing. A failed backup is created again.
  - On-demand backups are kept until they are deleted, also by deleting their instance.
  - Cloud SQL runs one operation of an instance at a time. The module waits while another operation runs.
  - In check mode the module also returns RV(backups), so a task with C(check_mode=true) lists the backups.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.sql
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
  - mlops.mlflow_gcp.gcp.wait
options:
  instance:
    description: Name of the instance.
    type: str
    required: true
  description:
    description:
      - Description of the backup.
      - With O(state=absent) every on-demand backup with this description is deleted, also failed ones.
    type: str
    required: true
  location:
    description:
      - Location of the backup, a region such as V(europe-west1) or a multi-region such as V(eu).
      - If not set, Cloud SQL chooses a location. Cannot be changed after creation.
    type: str
"""

EXAMPLES = r"""
- name: Create a backup before an upgrade
  mlops.mlflow_gcp.gcp_sql_backup:
    project: my-project
    instance: mlflow-database
    description: before-3.18.0
  register: backup

- name: Delete an old backup
  mlops.mlflow_gcp.gcp_sql_backup:
    project: my-project
    instance: mlflow-database
    description: before-3.17.2
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The backup run as the API returns it,
    U(https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/backupRuns). Null when absent.
  returned: success
  type: dict
  sample:
    id: "1795266000000"
    instance: mlflow-database
    description: before-3.18.0
    status: SUCCESSFUL
    type: ON_DEMAND
    startTime: "2026-11-21T13:00:01.000Z"
    endTime: "2026-11-21T13:02:11.000Z"
pending:
  description: Whether the backup is still being created, with O(wait=false).
  returned: success
  type: bool
  sample: false
backups:
  description: All backup runs of the instance at the last read, newest first, including daily backups.
  returned: success
  type: list
  elements: dict
"""

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource
from ..module_utils._sql import OfInstance, timeout

BUSY = ("ENQUEUED", "OVERDUE", "RUNNING")
GONE = ("DELETED", "DELETION_PENDING")


class SqlBackup(OfInstance, Resource):
    """Manage sql.backupRuns of the type ON_DEMAND, identified by their description."""

    api = "sql"
    kind = "backup"
    collection = "v1/projects/{project}/instances/{instance}/backupRuns"
    create_body = {}
    busy = BUSY
    formats = {"instance": _formats.sql_instance}
    options = {
        **timeout(),
        "instance": {"type": "str", "required": True},
        "description": {"type": "str", "required": True},
        "location": {"type": "str"},
        "wait": {"type": "bool", "default": True},
    }
    fields = {"description": Field(), "location": Field(immutable=True)}
    runs: list[Json] = []

    @property
    def title(self) -> str:
        """Return the backup and its instance."""
        return f"{self.kind} '{self.params['description']}' of Cloud SQL instance {self.params['instance']}"

    def read(self) -> Json | None:
        """Return the newest successful or unfinished backup; for a deletion also a failed one."""
        self.runs = []
        try:
            self.runs = list(self.client.items(self.api, self.fill(self.collection), "items", {"maxResults": 100}))
        except GoogleError as error:
            if error.code != 404:
                raise
        deletes = self.params["state"] == "absent"
        good = ("SUCCESSFUL", *BUSY)
        found = [one for one in self._ours() if deletes or one.get("status") in good]
        return max(found, key=lambda one: int(one["id"]), default=None)

    def _ours(self) -> list[Json]:
        desired = self.params["description"]
        # A daily backup has no description. The list contains deleted backups for a while.
        return [one for one in self.runs if one.get("description") == desired and one.get("status") not in GONE]

    def create(self, body: Json) -> None:
        """Create the backup. If a response was lost, look for a started backup before a second request."""
        path = self.fill(self.collection)
        self.send_once(lambda: self.call("POST", path, body, idempotent=False), lambda: self.read() is not None)

    def delete(self, current: Json) -> None:
        """Delete all backups with the description, because only the description identifies a backup."""
        for ours in self._ours():
            self.call("DELETE", f"{self.fill(self.collection)}/{ours['id']}")

    def found(self) -> Json:
        """Return all backups of the instance."""
        return {"backups": self.runs}


def main() -> None:
    """Run the module."""
    run(SqlBackup)


if __name__ == "__main__":
    main()
