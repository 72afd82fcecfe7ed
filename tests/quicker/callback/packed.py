# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Pack each module once in a test session."""

from __future__ import annotations

import os
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: packed
type: aggregate
short_description: Pack modules once
description:
  - Ansible compiles a module and all that it imports, to find out what that is, and packs it. It keeps this in its
    temporary directory, for one run; here that leads to a directory that stays for a test session.
author: the mlops.mlflow_gcp authors
"""


class CallbackModule(CallbackBase):
    """A plugin without output. Ansible loads it before it packs a module."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "packed"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        kept = Path(os.environ["MLFLOW_GCP_TEST_QUICKER"]) / "packed"
        # Without the folder, Ansible packs as usual.
        if kept.is_dir():
            (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(kept)
