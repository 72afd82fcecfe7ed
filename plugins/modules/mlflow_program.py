#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_program
short_description: Install mlflowctl, the program on the VM
version_added: 0.1.0
description:
  - Installs a version of the program in a directory of its own. Then the link C(program) leads to this directory.
  - An installed version does not change. A process of an earlier version, such as a cutover, continues to use that
    version, and so does a slot that was started with it. C(mlflowctl prune) removes unused versions.
  - If the module is interrupted, the links lead to the earlier version.
  - Used by P(mlops.mlflow_gcp.mlflowctl#role).
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  archive:
    description: The files of the program, as P(mlops.mlflow_gcp.program_archive#filter) packs them.
    type: str
    required: true
  directory:
    description: The versions are installed in the subdirectory C(programs) of this directory.
    type: path
    default: /opt/mlflow
  command:
    description: Path of the command.
    type: path
    default: /usr/local/bin/mlflowctl
attributes:
  check_mode:
    description: Changes nothing in C(check_mode).
    support: full
  diff_mode:
    description: Shows the version.
    support: full
"""

EXAMPLES = r"""
- name: Install the program mlflowctl
  mlops.mlflow_gcp.mlflow_program:
    archive: "{{ (role_path ~ '/files') | mlops.mlflow_gcp.program_archive }}"
"""

RETURN = r"""
version:
  description: Version of the program, a digest of its files.
  returned: always
  type: str
  sample: 3f2a91c04d7e
path:
  description: Directory of the version.
  returned: always
  type: str
  sample: /opt/mlflow/programs/3f2a91c04d7e
"""

import base64
import hashlib
import io
import os
import zipfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {
    # Not secret, but too long for logs.
    "archive": {"type": "str", "required": True, "no_log": True},
    "directory": {"type": "path", "default": "/opt/mlflow"},
    "command": {"type": "path", "default": "/usr/local/bin/mlflowctl"},
}


def unpack(archive: str) -> dict[str, bytes]:
    """Return the content of each file by its path."""
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive))) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def digest(files: dict[str, bytes]) -> str:
    """Return the version: a digest of paths and contents, which does not depend on the compression."""
    found = hashlib.sha256()
    for name in sorted(files):
        found.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return found.hexdigest()[:12]


def same(path: Path, content: bytes, wanted: int) -> bool:
    """Return whether a file has the content and the mode, and belongs to the user of this process."""
    if not path.is_file():
        return False
    found = path.stat()
    return (found.st_mode & 0o777, found.st_uid) == (wanted, os.geteuid()) and path.read_bytes() == content


def write(path: Path, content: bytes, wanted: int) -> None:
    """Replace a file atomically, independent of the umask."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.chmod(wanted)
    temporary.replace(path)


def make_directory(path: Path) -> None:
    """Create a directory that all users can read, independent of the umask."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir()
        path.chmod(0o755)


def link(path: Path, target: str) -> None:
    """Change the target of a link atomically."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def leads_to(path: Path, target: str) -> bool:
    """Return whether a link exists and has this target."""
    return path.is_symlink() and str(path.readlink()) == target


def install(files: dict[str, bytes], home: Path, current: Path, command: Path, *, check: bool) -> bool:
    """Install a version; return whether something changed, or would change."""
    missing = [name for name, content in files.items() if not same(home / name, content, 0o644)]
    outdated = not leads_to(current, str(home))
    script = f'#!/bin/sh\nexec /usr/bin/python3 -I {current} "$@"\n'.encode()
    no_command = not same(command, script, 0o755)
    if check:
        return bool(missing or outdated or no_command)
    for name in missing:
        make_directory((home / name).parent)
        write(home / name, files[name], 0o644)
    if outdated:
        # After a power cut, the link must not lead to empty files.
        os.sync()
        link(current, str(home))
    if no_command:
        make_directory(command.parent)
        write(command, script, 0o755)
    return bool(missing or outdated or no_command)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    files = unpack(module.params["archive"])
    version, root = digest(files), Path(module.params["directory"])
    home, current = root / "programs" / version, root / "program"
    before = current.readlink().name if current.is_symlink() else ""
    try:
        changed = install(files, home, current, Path(module.params["command"]), check=module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"Cannot install the program in {home}: {error}")
    diff = {"before": f"mlflowctl {before}\n" if before else "", "after": f"mlflowctl {version}\n"}
    module.exit_json(changed=changed, version=version, path=str(home), diff=diff)


if __name__ == "__main__":
    main()
