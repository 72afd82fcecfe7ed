# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What Ansible packs for a module, it packs once in a test session."""

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
    """No callback, but the first that Ansible loads of what is ours, before it packs anything."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "packed"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        kept = Path(os.environ["MLFLOW_GCP_TEST_QUICKER"]) / "packed"
        # Where a host does not have it, Ansible packs as ever.
        if kept.is_dir():
            (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(kept)
