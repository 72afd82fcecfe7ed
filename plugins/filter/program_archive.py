# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Pack a directory of the control node for the module mlflow_program."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program_archive
short_description: Archive of a program for M(mlops.mlflow_gcp.mlflow_program)
version_added: 0.1.0
description:
  - Packs the files of a directory on the control node. Files that Python compiled are left out.
positional: _input
options:
  _input:
    description: The directory.
    type: path
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Install the program mlflowctl
  mlops.mlflow_gcp.mlflow_program:
    archive: "{{ (role_path ~ '/files') | mlops.mlflow_gcp.program_archive }}"
"""

RETURN = r"""
_value:
  description: The archive, for the option O(mlops.mlflow_gcp.mlflow_program#module:archive).
  type: str
"""

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path


def program_archive(directory: str) -> str:
    """Return the files of a directory as a zip archive in base64."""
    root, archive = Path(directory), io.BytesIO()
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(archive, "w") as packed:
        for path in files:
            name = zipfile.ZipInfo(path.relative_to(root).as_posix())
            packed.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return base64.b64encode(archive.getvalue()).decode()


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"program_archive": program_archive}
