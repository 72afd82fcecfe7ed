#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_instance
short_description: Manage a Cloud SQL instance
version_added: 0.1.0
description:
  - Creates, updates and deletes a Cloud SQL instance.
  - The creation takes about ten minutes. To do other work at the same time, run a task with O(wait=false) first and
    the same task with O(wait=true) later.
  - Cloud SQL runs one operation of an instance at a time. The module waits while another operation runs.
  - A stopped instance that should run is started first. The module waits for the start, also with O(wait=false). Then
    the other changes follow.
  - A change of O(settings.tier), O(settings.edition), O(settings.availability_type) and of some flags restarts the
    database.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.sql
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
  - mlops.mlflow_gcp.gcp.wait
options:
  name:
    description:
      - Name of the instance.
      - According to Google's documentation, the name of a deleted instance can be reused immediately.
    type: str
    required: true
  region:
    description: The region. Needed to create the instance. Cannot be changed after creation.
    type: str
  database_version:
    description:
      - Engine and version, such as V(POSTGRES_17). Needed to create the instance.
      - A higher version upgrades the instance in place. The instance is down during the upgrade. A lower version is
        refused.
    type: str
  delete_protected:
    description: Whether O(state=absent) may delete an instance with deletion protection.
    type: bool
    default: false
  return_server_ca_bundle:
    description: Whether to return RV(server_ca_bundle), which takes one more request.
    type: bool
    default: false
  settings:
    description: Settings of the instance.
    type: dict
    suboptions:
      tier:
        description: The machine type, such as V(db-custom-1-3840). Needed to create the instance.
        type: str
      edition:
        description: The edition of Cloud SQL.
        type: str
        choices: [ENTERPRISE, ENTERPRISE_PLUS]
      availability_type:
        description: V(REGIONAL) adds a standby in another zone.
        type: str
        choices: [ZONAL, REGIONAL]
      activation_policy:
        description: Whether the instance runs. V(NEVER) stops the instance.
        type: str
        choices: [ALWAYS, NEVER]
      connector_enforcement:
        description: Whether all connections must use a Cloud SQL connector (V(REQUIRED)).
        type: str
        choices: [NOT_REQUIRED, REQUIRED]
      data_disk_size_gb:
        description:
          - Size of the disk in GB, 10 or more. The disk can grow, but not shrink.
          - With O(settings.storage_auto_resize) a disk that grew automatically does not change.
        type: int
      data_disk_type:
        description: Type of the disk. Cannot be changed after creation.
        type: str
        choices: [PD_SSD, PD_HDD, HYPERDISK_BALANCED]
      storage_auto_resize:
        description: Whether the disk grows automatically when it is nearly full.
        type: bool
      storage_auto_resize_limit:
        description: Maximum size in GB for automatic growth. V(0) means no limit.
        type: int
      deletion_protection_enabled:
        description:
          - Whether the instance has deletion protection.
          - Set by an update after creation, so that an instance whose creation failed can be deleted.
        type: bool
      user_labels:
        description: Labels. Replaces the existing map.
        type: dict
      database_flags:
        description:
          - Database flags, as a map of names and values.
          - Replaces the existing map. A flag that is not in the map gets its default value.
          - A boolean is converted to V(on) or V(off).
        type: dict
      backup_configuration:
        description: Daily backups.
        type: dict
        suboptions:
          enabled:
            description: Whether daily backups are created.
            type: bool
          start_time:
            description: Start of the four-hour backup window in UTC, such as V(02:00).
            type: str
          point_in_time_recovery_enabled:
            description: Whether the write-ahead log is kept for point-in-time recovery.
            type: bool
          transaction_log_retention_days:
            description: Days for which the write-ahead log is kept, from 1 to 7 (35 in Enterprise Plus).
            type: int
          retained_backups:
            description: Number of backups to keep.
            type: int
      ip_configuration:
        description: Network access to the instance.
        type: dict
        suboptions:
          ipv4_enabled:
            description: Whether the instance has a public address.
            type: bool
          private_network:
            description:
              - The VPC network with access to the instance, by name or as
                V(projects/my-project/global/networks/mlflow-network).
              - The network needs private services access first. This module does not change it after the creation.
            type: str
          ssl_mode:
            description: Encryption that the instance requires of connections.
            type: str
            choices: [ALLOW_UNENCRYPTED_AND_ENCRYPTED, ENCRYPTED_ONLY, TRUSTED_CLIENT_CERTIFICATE_REQUIRED]
          enable_private_path_for_google_cloud_services:
            description: Whether Google's services such as BigQuery can access the instance over the private address.
            type: bool
          authorized_networks:
            description: Ranges with access to the public address. Replaces the existing list.
            type: list
            elements: dict
            suboptions:
              name:
                description: Name of the range.
                type: str
              value:
                description: The range, such as V(203.0.113.0/24).
                type: str
                required: true
      maintenance_window:
        description: Window of one hour in which Google may restart the instance.
        type: dict
        suboptions:
          day:
            description: The day of the week, from 1 (Monday) to 7 (Sunday).
            type: int
          hour:
            description: The hour, from 0 to 23, in UTC.
            type: int
          update_track:
            description: Whether the instance gets updates early or late.
            type: str
            choices: [canary, stable, week5]
      insights_config:
        description: Query Insights.
        type: dict
        suboptions:
          query_insights_enabled:
            description: Whether Query Insights is enabled.
            type: bool
"""

EXAMPLES = r"""
- name: Start the creation of a private PostgreSQL instance
  mlops.mlflow_gcp.gcp_sql_instance:
    project: my-project
    name: mlflow-database
    region: europe-west1
    database_version: POSTGRES_17
    settings:
      tier: db-custom-1-3840
      edition: ENTERPRISE
      deletion_protection_enabled: true
      backup_configuration:
        enabled: true
        point_in_time_recovery_enabled: true
      ip_configuration:
        ipv4_enabled: false
        private_network: projects/my-project/global/networks/mlflow-network
        ssl_mode: ENCRYPTED_ONLY
    wait: false

- name: Delete an instance whose creation failed
  mlops.mlflow_gcp.gcp_sql_instance:
    project: my-project
    name: mlflow-database
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The instance as the API returns it, U(https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/instances).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow-database
    state: RUNNABLE
    databaseVersion: POSTGRES_17
    connectionName: my-project:europe-west1:mlflow-database
    ipAddresses:
      - type: PRIVATE
        ipAddress: 10.20.0.3
stopped:
  description:
    - Whether the instance is stopped (activation policy C(NEVER)). Cloud SQL does not list the databases and users of
      a stopped instance.
    - In check mode, whether the instance is stopped now.
  returned: success
  type: bool
  sample: false
server_ca_bundle:
  description:
    - The certificates of the instance's certificate authorities in PEM form. Null while the instance is being created.
    - Not returned for a planned change.
  returned: success and O(return_server_ca_bundle=true)
  type: str
pending:
  description: Whether the instance is still being created or changed.
  returned: success
  type: bool
  sample: false
"""

from ..module_utils import _formats
from ..module_utils._client import Json
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field, get_at
from ..module_utils._module import run
from ..module_utils._options import wait
from ..module_utils._sql import BROKEN, server_ca_bundle, timeout
from ..module_utils._sql_failures import SqlFailures
from ..module_utils._sql_settings import SqlSettings
from ..module_utils._sql_updates import ACTIVATION, SqlUpdates

_BACKUP = "settings.backup_configuration."
_IP = "settings.ip_configuration."


class SqlInstance(SqlSettings, SqlUpdates, SqlFailures):
    """Manage sql.instances. Each setting is a field, so that diffs and refusals name the setting."""

    api = "sql"
    kind = "Cloud SQL instance"
    collection = "v1/projects/{project}/instances"
    create_body = {"name": "{name}", "project": "{project}"}
    instance_option = "name"
    state_key = "state"
    busy = ("PENDING_CREATE", "PENDING_DELETE", "MAINTENANCE", "REPAIRING")
    broken = BROKEN
    formats = {
        "name": _formats.sql_instance,
        "region": _formats.region,
        "database_version": _formats.sql_version,
        "settings.tier": _formats.tier,
        "settings.data_disk_size_gb": _formats.disk_size,
        "settings.user_labels": _formats.labels,
        "settings.database_flags": _formats.database_flags,
        "settings.backup_configuration.start_time": _formats.time_of_day,
        "settings.backup_configuration.retained_backups": _formats.integer(1, 365),
        "settings.maintenance_window.day": _formats.integer(1, 7),
        "settings.maintenance_window.hour": _formats.integer(0, 23),
    }
    options = {
        "name": {"type": "str", "required": True},
        "region": {"type": "str"},
        "database_version": {"type": "str"},
        "delete_protected": {"type": "bool", "default": False},
        "return_server_ca_bundle": {"type": "bool", "default": False},
        **wait(),
        **timeout(),
        "settings": {
            "type": "dict",
            "options": {
                "tier": {"type": "str"},
                "edition": {"type": "str", "choices": ["ENTERPRISE", "ENTERPRISE_PLUS"]},
                "availability_type": {"type": "str", "choices": ["ZONAL", "REGIONAL"]},
                "activation_policy": {"type": "str", "choices": ["ALWAYS", "NEVER"]},
                "connector_enforcement": {"type": "str", "choices": ["NOT_REQUIRED", "REQUIRED"]},
                "data_disk_size_gb": {"type": "int"},
                "data_disk_type": {"type": "str", "choices": ["PD_SSD", "PD_HDD", "HYPERDISK_BALANCED"]},
                "storage_auto_resize": {"type": "bool"},
                "storage_auto_resize_limit": {"type": "int"},
                "deletion_protection_enabled": {"type": "bool"},
                "user_labels": {"type": "dict"},
                "database_flags": {"type": "dict"},
                "backup_configuration": {
                    "type": "dict",
                    "options": {
                        "enabled": {"type": "bool"},
                        "start_time": {"type": "str"},
                        "point_in_time_recovery_enabled": {"type": "bool"},
                        "transaction_log_retention_days": {"type": "int"},
                        "retained_backups": {"type": "int"},
                    },
                },
                "ip_configuration": {
                    "type": "dict",
                    "options": {
                        "ipv4_enabled": {"type": "bool"},
                        "private_network": {"type": "str"},
                        "ssl_mode": {
                            "type": "str",
                            "choices": [
                                "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
                                "ENCRYPTED_ONLY",
                                "TRUSTED_CLIENT_CERTIFICATE_REQUIRED",
                            ],
                        },
                        "enable_private_path_for_google_cloud_services": {"type": "bool"},
                        "authorized_networks": {
                            "type": "list",
                            "elements": "dict",
                            "options": {"name": {"type": "str"}, "value": {"type": "str", "required": True}},
                        },
                    },
                },
                "maintenance_window": {
                    "type": "dict",
                    "options": {
                        "day": {"type": "int"},
                        "hour": {"type": "int"},
                        "update_track": {"type": "str", "choices": ["canary", "stable", "week5"]},
                    },
                },
                "insights_config": {"type": "dict", "options": {"query_insights_enabled": {"type": "bool"}}},
            },
        },
    }
    fields = {
        "region": Field(immutable=True),
        "database_version": Field(via="upgrade"),
        "settings.tier": Field(),
        "settings.edition": Field(),
        "settings.availability_type": Field(),
        ACTIVATION: Field(),
        "settings.connector_enforcement": Field(),
        "settings.data_disk_size_gb": Field(convert="int64"),
        "settings.data_disk_type": Field(immutable=True),
        "settings.storage_auto_resize": Field(),
        "settings.storage_auto_resize_limit": Field(convert="int64"),
        # An instance whose creation failed may refuse an update that removes its protection.
        "settings.deletion_protection_enabled": Field(create=False),
        "settings.user_labels": Field(),
        "settings.database_flags": Field(convert="flags", unordered=True),
        _BACKUP + "enabled": Field(),
        _BACKUP + "start_time": Field(),
        _BACKUP + "point_in_time_recovery_enabled": Field(),
        _BACKUP + "transaction_log_retention_days": Field(),
        _BACKUP + "retained_backups": Field(at="settings.backupConfiguration.backupRetentionSettings.retainedBackups"),
        _IP + "ipv4_enabled": Field(),
        _IP + "private_network": Field(immutable=True, link="projects/{project}/global/networks/{}"),
        _IP + "ssl_mode": Field(),
        _IP + "enable_private_path_for_google_cloud_services": Field(),
        _IP + "authorized_networks": Field(unordered=True),
        "settings.maintenance_window.day": Field(),
        "settings.maintenance_window.hour": Field(),
        "settings.maintenance_window.update_track": Field(),
        "settings.insights_config.query_insights_enabled": Field(),
    }

    def check(self, current: Json) -> None:
        """Refuse changes that Cloud SQL cannot make, and a deletion of protected data."""
        settings = current.get("settings", {})
        if self.params["state"] == "absent":
            if settings.get("deletionProtectionEnabled") and not self.params["delete_protected"]:
                raise RefusedError(
                    f"{self.title} has deletion protection. A deletion destroys all its data. To delete it, set "
                    "delete_protected to true."
                )
            return
        self.check_version(current)
        self.check_disk(current)

    def more(self, current: Json) -> Json:
        """Return the certificates of the certificate authorities, if the option asks for them."""
        if not self.params["return_server_ca_bundle"]:
            return {}
        return {"server_ca_bundle": server_ca_bundle(self.client, current, self.self_path)}

    def check_create(self) -> None:
        """Require the options that a creation needs; an update does not need them."""
        needed = ("region", "database_version", "settings.tier")
        missing = [option for option in needed if get_at(self.params, option) is None]
        if missing:
            raise RefusedError(f"{self.title} does not exist. To create it, set {' and '.join(missing)}.")


def main() -> None:
    """Run the module."""
    run(SqlInstance)


if __name__ == "__main__":
    main()
