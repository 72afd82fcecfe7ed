#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_front_end_secret
short_description: Create the secret with which nginx proves an identity to MLflow
version_added: 0.1.0
description:
  - Creates a random value on the VM, once. MLflow gets the value as a systemd credential, nginx from a file that its
    configuration includes. Only root can read both files.
  - The value stays on the VM. The module does not return or log the value.
  - To replace the value, delete the file O(credential) and run C(site.yml). MLflow refuses signed-in users between its
    cutover and the reload of nginx.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  credential:
    description: Path of the credential for MLflow.
    type: path
    default: /etc/credstore/mlflow.front-end-secret
  include:
    description:
      - Path of the file for nginx, which defines the variable C($mlflow_front_end_secret) in the context C(http).
      - If the directory does not exist, nginx is not installed yet and the module writes only the credential.
    type: path
    default: /etc/nginx/snippets/mlflow-front-end-secret.conf
attributes:
  check_mode:
    description: Writes nothing in C(check_mode).
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Create the secret of the front end
  mlops.mlflow_gcp.mlflow_front_end_secret:
"""

RETURN = r"""
paths:
  description: Paths of the changed files.
  returned: always
  type: list
  elements: str
  sample: [/etc/credstore/mlflow.front-end-secret]
"""

import os
import re
import secrets
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {
    "credential": {"type": "path", "default": "/etc/credstore/mlflow.front-end-secret"},
    "include": {"type": "path", "default": "/etc/nginx/snippets/mlflow-front-end-secret.conf"},
}
MODE = 0o600
# 256 bits. Letters and digits need no quotes in the configuration of nginx, and no escapes in a header.
BYTES = 32
VALUE = re.compile(r"[0-9a-f]{64}")


def secret(path: Path) -> str:
    """Return the value of the credential, or an empty string if the file has no complete value."""
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    return text if VALUE.fullmatch(text) else ""


def configuration(value: str) -> str:
    """Return the text of the file for nginx."""
    return f'# Written by Ansible.\nmap "" $mlflow_front_end_secret {{\n    default {value};\n}}\n'


def is_current(path: Path, text: str) -> bool:
    """Return whether the file has this text, this mode and the owner of this process."""
    if not path.is_file():
        return False
    found = path.stat()
    return (stat.S_IMODE(found.st_mode), found.st_uid) == (MODE, os.geteuid()) and path.read_text(
        encoding="utf-8", errors="replace"
    ) == text


def write(path: Path, text: str) -> None:
    """Replace a file atomically. No other user can read the file at any moment."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    credential, include = Path(module.params["credential"]), Path(module.params["include"])
    try:
        value = secret(credential) or secrets.token_hex(BYTES)
        texts = {credential: value + "\n"}
        if include.parent.is_dir():
            texts[include] = configuration(value)
        changed = [path for path, text in texts.items() if not is_current(path, text)]
        if not module.check_mode:
            credential.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in changed:
                write(path, texts[path])
    except OSError as error:
        module.fail_json(msg=f"Cannot write the secret of the front end: {error}. Run the task as root.")
    module.exit_json(changed=bool(changed), paths=[str(path) for path in changed])


if __name__ == "__main__":
    main()
