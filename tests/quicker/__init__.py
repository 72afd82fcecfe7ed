# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Caches that all runs of ansible-playbook in a test session share. docs/decisions/ has the reasons."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = "MLFLOW_GCP_TEST_QUICKER"


def environment(folder: Path) -> dict[str, str]:
    """Return variables that make every ansible-playbook and every Python use the caches in this folder."""
    for name in ("packed", "compiled"):
        (folder / name).mkdir()
    path = [str(HERE / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(path), **ansible()}


def ansible() -> dict[str, str]:
    """Return the variables that Ansible reads."""
    return {"ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"), "ANSIBLE_CALLBACKS_ENABLED": "packed"}
