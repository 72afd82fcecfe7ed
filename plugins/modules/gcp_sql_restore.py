#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_restore
short_description: Restore a backup into a Cloud SQL instance
version_added: 0.1.0
description:
  - Replaces everything in a Cloud SQL instance, with all its databases and users, by a backup of this instance or of
    another one.
  - Users have the passwords of the time of the backup afterwards.
  - There is no telling whether an instance holds what a backup holds, so the module always reports a change.
  - The instance is not available while it is restored.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
options:
  timeout:
    description: How many seconds the task may take, with all repeated requests and waits for long-running operations.
    type: int
    default: 3600
  instance:
    description: The instance whose content is replaced. It must be there, run, and be of the version of the backup.
    type: str
    required: true
  backup_id:
    description: The backup run's ID, C(resource.id) of M(mlops.mlflow_gcp.gcp_sql_backup).
    type: str
    required: true
  backup_instance:
    description: The instance that the backup is of. Where it is not set, O(instance).
    type: str
  backup_project:
    description: The project that the backup is in. Where it is not set, O(project).
    type: str
"""

EXAMPLES = r"""
- name: Go back
  mlops.mlflow_gcp.gcp_sql_restore:
    project: my-project
    instance: mlflow-database
    backup_id: "1795266000000"

- name: Try a backup in an instance of its own
  mlops.mlflow_gcp.gcp_sql_restore:
    project: my-project
    instance: mlflow-drill
    backup_instance: mlflow-database
    backup_id: "1795266000000"
"""

RETURN = r"""
backup:
  description: The backup run as the API returns it.
  returned: success
  type: dict
  sample:
    id: "1795266000000"
    instance: mlflow-database
    status: SUCCESSFUL
"""

from ..module_utils import _formats
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import Json
from ..module_utils._resource import RefusedError
from ..module_utils._sql import OfInstance, is_stopped, timeout, why_not_running


class SqlRestore(OfInstance, Action):
    """sql.instances.restoreBackup."""

    api = "sql"
    doing = "restore backup {backup_id} into Cloud SQL instance {instance}"
    path = "v1/projects/{project}/instances/{instance}"
    formats = {
        "instance": _formats.sql_instance,
        "backup_instance": _formats.sql_instance,
        "backup_project": _formats.project_or_number,
    }
    options = {
        **timeout(),
        "instance": {"type": "str", "required": True},
        "backup_id": {"type": "str", "required": True},
        "backup_instance": {"type": "str"},
        "backup_project": {"type": "str"},
    }

    def look(self) -> Plan:
        """Both must be there and fit, before anything is replaced."""
        self.source = {
            "backupRunId": self.params["backup_id"],
            "instanceId": self.params["backup_instance"] or self.params["instance"],
            "project": self.params["backup_project"] or self.params["project"],
        }
        where = "v1/projects/{project}/instances/{instanceId}/backupRuns/{backupRunId}".format(**self.source)
        backup = self.client.find(self.api, where)
        title = "backup {backupRunId} of Cloud SQL instance {project}/{instanceId}".format(**self.source)
        if backup is None:
            raise RefusedError(f"There is no {title}. The module gcp_sql_backup lists what there is in its backups.")
        if backup.get("status") != "SUCCESSFUL":
            raise RefusedError(f"The {title} is {backup.get('status')}, not SUCCESSFUL: it cannot be restored.")
        instance = self.client.get(self.api, self.self_path)
        versions = backup.get("databaseVersion"), instance.get("databaseVersion")
        if versions[0] and versions[0] != versions[1]:
            raise RefusedError(
                f"The {title} is of {versions[0]}, and instance {self.params['instance']} is {versions[1]}. "
                f"Restore it into an instance of {versions[0]}, and upgrade that one."
            )
        if is_stopped(instance):
            raise RefusedError(why_not_running(instance, self.params["project"]))
        return Plan(True, {"backup": backup}, {"data": "as it is now"}, {"data": f"as at {backup.get('startTime')}"})

    def carry_out(self, plan: Plan) -> Json:
        """Replace it, and wait."""
        self.call("POST", f"{self.self_path}/restoreBackup", {"restoreBackupContext": dict(self.source)})
        return {}


def main() -> None:
    """Entry point."""
    run_action(SqlRestore)


if __name__ == "__main__":
    main()
