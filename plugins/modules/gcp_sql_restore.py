#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_restore
short_description: Restore a backup into a Cloud SQL instance
version_added: 0.1.0
description:
  - Replaces the whole content of a Cloud SQL instance, including databases and users, by a backup of this or another
    instance.
  - After the restore, users have their passwords from the time of the backup.
  - The module cannot compare an instance with a backup, so it always reports a change.
  - The instance is not available during the restore.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.sql
  - mlops.mlflow_gcp.gcp
options:
  instance:
    description: The instance whose content is replaced. It must exist, run, and have the version of the backup.
    type: str
    required: true
  backup_id:
    description: ID of the backup run, C(resource.id) of M(mlops.mlflow_gcp.gcp_sql_backup).
    type: str
    required: true
  backup_instance:
    description: The instance of the backup. Defaults to O(instance).
    type: str
  backup_project:
    description: The project of the backup. Defaults to O(project).
    type: str
"""

EXAMPLES = r"""
- name: Restore the database from a backup
  mlops.mlflow_gcp.gcp_sql_restore:
    project: my-project
    instance: mlflow-database
    backup_id: "1795266000000"

- name: Restore a backup into a temporary instance
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
from ..module_utils._errors import RefusedError
from ..module_utils._sql import OfInstance, is_stopped, timeout, why_not_running


class SqlRestore(OfInstance, Action):
    """Restore a backup with sql.instances.restoreBackup."""

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
        """Check that the instance and the backup exist and match, before any change."""
        self.source = {
            "backupRunId": self.params["backup_id"],
            "instanceId": self.params["backup_instance"] or self.params["instance"],
            "project": self.params["backup_project"] or self.params["project"],
        }
        where = "v1/projects/{project}/instances/{instanceId}/backupRuns/{backupRunId}".format(**self.source)
        backup = self.client.find(self.api, where)
        title = "backup {backupRunId} of Cloud SQL instance {project}/{instanceId}".format(**self.source)
        if backup is None:
            raise RefusedError(f"Cannot find {title}. The module gcp_sql_backup returns the existing backups.")
        if backup.get("status") != "SUCCESSFUL":
            raise RefusedError(f"Cannot restore {title}: its status is {backup.get('status')}, not SUCCESSFUL.")
        instance = self.client.get(self.api, self.self_path)
        versions = backup.get("databaseVersion"), instance.get("databaseVersion")
        if versions[0] and versions[0] != versions[1]:
            raise RefusedError(
                f"The {title} has version {versions[0]}, but instance {self.params['instance']} has version "
                f"{versions[1]}. Restore the backup into an instance of version {versions[0]}, then upgrade "
                "that instance."
            )
        if is_stopped(instance):
            raise RefusedError(why_not_running(instance, self.params["project"]))
        return Plan(True, {"backup": backup}, {"data": "current"}, {"data": f"from {backup.get('startTime')}"})

    def carry_out(self, plan: Plan) -> Json:
        """Restore the backup and wait for the operation."""
        self.call("POST", f"{self.self_path}/restoreBackup", {"restoreBackupContext": dict(self.source)})
        return {}


def main() -> None:
    """Run the module."""
    run_action(SqlRestore)


if __name__ == "__main__":
    main()
