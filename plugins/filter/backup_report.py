# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a backup, a restore or a drill."""

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_report
short_description: The report of a backup, a restore or a drill
version_added: 0.1.0
description:
  - Describes what P(mlops.mlflow_gcp.backup#role) did.
options:
  _input:
    description: The facts of the operation, which the tasks of the role list.
    type: dict
    required: true
  operation:
    description: V(created) for a backup, V(restored) for a restore, V(drilled) for a drill.
    type: str
    choices: [created, restored, drilled]
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Report the backup
  ansible.builtin.debug:
    msg: "{{ backup | mlops.mlflow_gcp.backup_report('created') }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ..module_utils import _restore

REPORTS = {"created": _restore.created, "restored": _restore.restored, "drilled": _restore.drilled}


def backup_report(facts: dict[str, Any], operation: str) -> str:
    """Return the report."""
    return REPORTS[operation](facts)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"backup_report": backup_report}
