# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The backups to delete."""

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_expiry
short_description: The backups to delete
version_added: 0.1.0
description:
  - Finds the expired backups of a deployment, and the Cloud SQL backups of interrupted runs.
options:
  _input:
    description: The records, RV(mlops.mlflow_gcp.gcp_bucket_objects_info#module:objects) with their content.
    type: list
    elements: dict
    required: true
  runs:
    description: The backup runs of the Cloud SQL instance.
    type: list
    elements: dict
    required: true
  deployment:
    description: PROJECT/NAME of the deployment.
    type: str
    required: true
  keep:
    description: Number of backups to keep.
    type: int
    required: true
  in_use:
    description: Names of backups that an interrupted restore needs.
    type: list
    elements: str
    required: true
  planned:
    description: Name of a backup that check mode does not create. Empty if there is none.
    type: str
    required: true
  prefix:
    description: Common prefix of the descriptions of the Cloud SQL backups.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the expired backups
  ansible.builtin.debug:
    msg: >-
      {{ (listed.objects
          | mlops.mlflow_gcp.backup_expiry(runs.backups, deployment='my-project/mlflow', keep=14, in_use=[],
                                           planned='', prefix='mlflow backup ')).backups | map(attribute='name') }}
"""

RETURN = r"""
_value:
  description:
    - V(backups), the records of the expired backups.
    - V(unrecorded), the descriptions of the Cloud SQL backups without a record.
  type: dict
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils import _backups


def backup_expiry(objects: list[Mapping[str, Any]], runs: list[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    """Return the expired backups and the Cloud SQL backups without a record."""
    options["keep"] = int(options["keep"])
    return _backups.expiry(_backups.parse(objects), runs, now=datetime.datetime.now(datetime.UTC), **options)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"backup_expiry": backup_expiry}
