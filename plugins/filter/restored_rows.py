# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The rows of a restored database."""

from __future__ import annotations

DOCUMENTATION = r"""
name: restored_rows
short_description: The rows of a restored database
version_added: 0.1.0
description:
  - Describes the rows of a restored database and their differences from the backup.
options:
  _input:
    description: Result of C(mlflowctl count-rows) with the expected rows.
    type: dict
    required: true
  backup:
    description: Name of the backup.
    type: str
    required: true
  accept:
    description: Whether differences are accepted. If not set, the message names no option to accept them.
    type: bool
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the restored rows
  ansible.builtin.debug:
    msg: "{{ (rows.result | mlops.mlflow_gcp.restored_rows(backup='20261121T134228Z')).summary }}"
"""

RETURN = r"""
_value:
  description:
    - V(summary), a text.
    - V(problem), the differences if they are not accepted, or an empty string.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils import _restore


def restored_rows(result: Mapping[str, Any], *, backup: str, accept: bool | None = None) -> dict[str, Any]:
    """Return the summary and the problem."""
    return _restore.restored_rows(dict(result), backup=backup, accept=accept)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"restored_rows": restored_rows}
