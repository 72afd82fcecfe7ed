# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What all runs of ansible-playbook in a test session would repeat, and is done once (docs/decisions says why)."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = "MLFLOW_GCP_TEST_QUICKER"


def environment(folder: Path) -> dict[str, str]:
    """Variables that have every ansible-playbook and every Python keep there what they pack and compile."""
    for name in ("packed", "compiled"):
        (folder / name).mkdir()
    path = [str(HERE / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(path), **ansible()}


def ansible() -> dict[str, str]:
    """Those of them that are settings of Ansible."""
    return {"ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"), "ANSIBLE_CALLBACKS_ENABLED": "packed"}
