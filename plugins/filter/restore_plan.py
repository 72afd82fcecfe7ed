# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The consequences of a restore."""

from __future__ import annotations

DOCUMENTATION = r"""
name: restore_plan
short_description: The consequences of a restore
version_added: 0.1.0
description:
  - Compares a backup with the current data of a deployment.
options:
  _input:
    description: The record of the backup.
    type: dict
    required: true
  rows:
    description: Result of C(mlflowctl count-rows).
    type: dict
    required: true
  artifacts:
    description: Result of M(mlops.mlflow_gcp.gcp_bucket_restore) in check mode.
    type: dict
    required: true
  deployment:
    description: PROJECT/NAME of the deployment.
    type: str
    required: true
  source:
    description: PROJECT/NAME of the deployment of the backup.
    type: str
    required: true
  others:
    description: V(keep) or V(delete), what happens to artifacts that the backup does not contain.
    type: str
    required: true
  migrate:
    description: Whether a backup of an older release is migrated.
    type: bool
    required: true
  backup_first:
    description: Whether the current data is backed up first.
    type: bool
    required: true
  earlier_backup:
    description: Backup from before an interrupted restore that can undo both restores. Empty if there is none.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the consequences of a restore
  ansible.builtin.debug:
    msg: >-
      {{ (backup | mlops.mlflow_gcp.restore_plan(rows.result, artifacts, deployment='my-project/mlflow',
                                                 source='my-project/mlflow', others='keep', migrate=false,
                                                 backup_first=true, earlier_backup='')).consequences }}
"""

RETURN = r"""
_value:
  description:
    - V(consequences), a text, and V(same_schema), whether the database has the schema of the installed release.
    - V(problem), the reason why the backup cannot be restored, or an empty string.
  type: dict
"""

from collections.abc import Callable

from ..module_utils import _restore


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"restore_plan": _restore.plan}
