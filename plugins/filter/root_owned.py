# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What is on a machine as the roles install it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: root_owned
short_description: Files and directories that root alone may change and everybody may read
version_added: 0.2.0
description:
  - Of what M(ansible.builtin.find) found, the files and directories that have owner and mode as the roles install
    them. With one question about all of them a role leaves out the tasks that would ask about each.
options:
  _input:
    description:
      - What M(ansible.builtin.find) returns as RV(ansible.builtin.find#module:files), with checksums where contents
        matter.
    type: list
    elements: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Look which units are there
  ansible.builtin.find:
    paths: [/etc/systemd/system]
    get_checksum: true
    checksum_algorithm: sha256
  register: found

- name: Show their checksums
  ansible.builtin.debug:
    # {'/etc/systemd/system/mlflow.service': '0f343b…'}
    msg: "{{ found.files | mlops.mlflow_gcp.root_owned }}"
"""

RETURN = r"""
_value:
  description:
    - By their paths, the checksums of the files that belong to user and group root and have mode 0644, empty where
      none was asked for; and V(directory) for each directory that belongs to root likewise and has mode 0755.
    - Other owners, other modes and links are left out.
  type: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def root_owned(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return checksums of files, and `directory` for directories, by the paths of those that are as they should be."""
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
        """Return it by its name."""
        return {"root_owned": root_owned}
