# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The record of the deployed release."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_record
short_description: The record of the deployed release
version_added: 0.1.0
description:
  - Returns the record of the deployed release, which P(mlops.mlflow_gcp.upgrade#role) writes to the bucket of the
    backups. A new VM and every other control node use it.
  - The record lists releases that were rolled back and are newer than the deployed release.
options:
  _input:
    description: V(version) of the deployed release. After a rollback also V(rolled_back_from).
    type: dict
    required: true
  vm:
    description: The rolled-back release that the VM recorded, C(rolled_back) of C(mlflowctl status).
    type: dict
  recorded:
    description: The existing record.
    type: dict
  requirements:
    description: The locked requirements of the release.
    type: str
    required: true
  since:
    description: Time of the record.
    type: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the record after a rollback
  ansible.builtin.debug:
    msg: "{{ {'version': '3.17.2', 'rolled_back_from': '3.18.0'}
             | mlops.mlflow_gcp.release_record(requirements='mlflow==3.17.2', since='2026-11-21T14:52:12Z') }}"
"""

RETURN = r"""
_value:
  description: V(version), V(since), V(rolled_back_from), V(skipped) and V(requirements).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils import _rolled_back


def release_record(
    deployed: Mapping[str, Any],
    vm: Mapping[str, Any] | None = None,
    recorded: Mapping[str, Any] | None = None,
    *,
    requirements: str,
    since: str,
) -> dict[str, Any]:
    """Return the record."""
    return _rolled_back.release_record(deployed, vm, recorded, requirements=requirements, since=since)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"release_record": release_record}
