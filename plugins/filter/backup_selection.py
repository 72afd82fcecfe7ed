# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The backup to restore."""

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_selection
short_description: The backup to restore
version_added: 0.1.0
description:
  - Selects a backup of a deployment from the records in a bucket.
options:
  _input:
    description: The records, RV(mlops.mlflow_gcp.gcp_bucket_objects_info#module:objects) with their content.
    type: list
    elements: dict
    required: true
  name:
    description: Name of the backup. If empty, the newest backup except the backups that restores created.
    type: str
    required: true
  deployment:
    description: PROJECT/NAME of the deployment of the backup.
    type: str
    required: true
  bucket:
    description: Bucket with the records, for the message.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the newest backup
  ansible.builtin.debug:
    msg: >-
      {{ (listed.objects | mlops.mlflow_gcp.backup_selection(name='', deployment='my-project/mlflow',
                                                             bucket='my-project-mlflow-backups')).backup.name }}
"""

RETURN = r"""
_value:
  description:
    - V(backup), the record of the selected backup, and V(newest), the time of the newest backup.
    - V(problem), the reason why there is no such backup, or an empty string.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils import _backups


def backup_selection(objects: list[Mapping[str, Any]], *, name: str, deployment: str, bucket: str) -> dict[str, Any]:
    """Return the selected backup, or the problem."""
    return _backups.select(_backups.parse(objects), name=name, deployment=deployment, bucket=bucket)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"backup_selection": backup_selection}
