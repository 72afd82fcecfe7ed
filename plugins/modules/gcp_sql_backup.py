#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_backup
short_description: Make and delete on-demand backups of a Cloud SQL instance
version_added: 0.1.0
description:
  - Makes a backup of a Cloud SQL instance now, and deletes one.
  - A backup run has no name and no labels of its own, so O(description) is what it is known by. A backup with this
    description that succeeded, or that is being made, is left as it is; one that failed is made again.
  - On-demand backups are kept until they are deleted, also by deleting their instance.
  - Cloud SQL works on one change of an instance at a time; the module waits while another one is going on.
  - In check mode it returns RV(backups) too, so a task with C(check_mode=true) lists the backups.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
  - mlops.mlflow_gcp.gcp.wait
options:
  timeout:
    description: How many seconds the task may take, with all repeated requests and waits for long-running operations.
    type: int
    default: 3600
  instance:
    description: The instance's name.
    type: str
    required: true
  description:
    description:
      - What the backup is called.
      - With O(state=absent) every on-demand backup of this description goes, those that failed too.
    type: str
    required: true
  location:
    description:
      - Where the backup is kept, a region such as V(europe-west1) or a multi-region such as V(eu).
      - Where it is not set, Cloud SQL chooses. Cannot be changed afterwards.
    type: str
"""

EXAMPLES = r"""
- name: A backup before something risky
  mlops.mlflow_gcp.gcp_sql_backup:
    project: my-project
    instance: mlflow-database
    description: before-3.18.0
  register: backup

- name: That one is not needed any more
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
  description: Whether the backup is still being made, with O(wait=false).
  returned: success
  type: bool
  sample: false
backups:
  description: All backup runs of the instance as they were read last, newest first, daily ones too.
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._fields import Field
from ..module_utils._resource import Resource, run
from ..module_utils._sql import OfInstance, timeout

ANSWER_WITHIN = 120.0  # seconds in which a request without an answer is made again
BUSY = ("ENQUEUED", "OVERDUE", "RUNNING")
GONE = ("DELETED", "DELETION_PENDING")


class SqlBackup(OfInstance, Resource):
    """sql.backupRuns of the kind ON_DEMAND, known by their description."""

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
        """The backup and its instance."""
        return f"{self.kind} '{self.params['description']}' of Cloud SQL instance {self.params['instance']}"

    def read(self) -> Json | None:
        """The newest that is good or will be; for a deletion a bad one too."""
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
        wanted = self.params["description"]
        # A daily backup has no description, and those that were deleted stay in the list for a while.
        return [one for one in self.runs if one.get("description") == wanted and one.get("status") not in GONE]

    def create(self, body: Json) -> None:
        """A request whose answer was lost may have started one: look before a second is started."""
        tried = False

        def once() -> Any:
            nonlocal tried
            if tried and self.read() is not None:
                return None
            tried = True
            return self.call("POST", self.fill(self.collection), body, idempotent=False)

        # An operation's own error has no URL: that backup failed, and the next one would too.
        self.insist(once, lambda e: bool(e.url) and (e.reason == "connection" or e.code >= 500), ANSWER_WITHIN)

    def delete(self, current: Json) -> None:
        """All of them, since the description is all that is known of a backup."""
        for ours in self._ours():
            self.call("DELETE", f"{self.fill(self.collection)}/{ours['id']}")

    def found(self) -> Json:
        """What the instance has besides."""
        return {"backups": self.runs}


def main() -> None:
    """Entry point."""
    run(SqlBackup)


if __name__ == "__main__":
    main()
