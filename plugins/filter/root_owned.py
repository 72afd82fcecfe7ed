# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Select the files with the owner and the mode that the roles set."""

from __future__ import annotations

DOCUMENTATION = r"""
name: root_owned
short_description: Files and directories that only root can change and all users can read
version_added: 0.1.0
description:
  - Selects from the result of M(ansible.builtin.find) the files and directories with the owner and the mode that the
    roles set. With one find a role can skip the tasks for files that are installed already.
options:
  _input:
    description:
      - The value RV(ansible.builtin.find#module:files) of M(ansible.builtin.find), with checksums if the role compares
        contents.
    type: list
    elements: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Find the installed units
  ansible.builtin.find:
    paths: [/etc/systemd/system]
    get_checksum: true
    checksum_algorithm: sha256
  register: found

- name: Show the checksums of the units
  ansible.builtin.debug:
    # {'/etc/systemd/system/mlflow.service': '0f343b…'}
    msg: "{{ found.files | mlops.mlflow_gcp.root_owned }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary by path. The value of a file is its checksum, or empty without checksums. The value of a directory is
      V(directory).
    - It contains files with user and group root and mode 0644, and directories with user and group root and mode 0755.
      It contains no links.
  type: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def root_owned(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the checksum of each file and `directory` for each directory, by path. Skip other owners and modes."""
    owned = {}
    for each in found:
        if each["uid"] == each["gid"] == 0:
            if each["isreg"] and each["mode"] == "0644":
                owned[each["path"]] = each.get("checksum") or ""
            elif each["isdir"] and each["mode"] == "0755":
                owned[each["path"]] = "directory"
    return owned


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"root_owned": root_owned}
