# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The directory and the packages of a release."""

from __future__ import annotations

DOCUMENTATION = r"""
name: locked_release
short_description: The directory and the packages of a release
version_added: 0.1.0
description:
  - Combines the locked requirements of an MLflow release with the locked packages that the user adds.
  - For a package in both, the version of the user counts.
options:
  _input:
    description: The version of MLflow.
    type: str
    required: true
  lock:
    description: Content of the locked requirements of the release.
    type: str
    required: true
  extra:
    description: Content of the locked requirements of the user, or empty.
    type: str
    default: ""
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the directory of a release
  ansible.builtin.debug:
    msg: >-
      {{ ('3.17.2' | mlops.mlflow_gcp.locked_release(lookup('ansible.builtin.file', '/srv/requirements.txt'))).name }}
"""

RETURN = r"""
_value:
  description:
    - C(name), the name of the directory in C(/opt/mlflow/releases), and C(locks), the input of C(mlflowctl build).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._requirements import merge, release_name


def locked_release(version: str, lock: str, extra: str = "") -> dict[str, Any]:
    """Return the name of the directory, and the locks for the build."""
    packages = merge(lock, extra) if extra.strip() else ""
    return {
        "name": release_name(version, lock, extra),
        "locks": {"requirements": lock, "packages": packages},
    }


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"locked_release": locked_release}
