# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a successful upgrade."""

from __future__ import annotations

DOCUMENTATION = r"""
name: upgrade_report
short_description: The report of a successful upgrade
version_added: 0.1.0
description:
  - Describes a successful upgrade, one line for each topic.
options:
  _input:
    description:
      - V(version_before) and V(version).
      - V(schemas), the result of C(mlflowctl schema heads), and V(result), the result of the cutover.
      - V(downtime), the measurement of the downtime. It may be empty.
      - V(backup), the description of the backup, or an empty string.
      - V(rehearsal_seconds), the duration of the migration in the rehearsal, or V(0).
      - V(removed), the names of the removed releases.
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Report the upgrade
  ansible.builtin.debug:
    msg: "{{ upgrade | mlops.mlflow_gcp.upgrade_report }}"
"""

RETURN = r"""
_value:
  description: The lines of the report.
  type: list
  elements: str
"""

from collections.abc import Callable

from ..module_utils import _cutover


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"upgrade_report": _cutover.report}
