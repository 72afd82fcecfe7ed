# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""gcloud against a local cloud."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

from localcloud.commands.env import variables
from tests.localcloud.harness import Local


class Gcloud:
    """gcloud with a configuration of its own."""

    def __init__(self, local: Local, config: pathlib.Path) -> None:
        self.environment = os.environ | variables(local.cloud.settings)
        self.environment |= {
            "CLOUDSDK_CONFIG": str(config),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        }

    def text(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command; return its output."""
        command = ["gcloud", *arguments]
        done = subprocess.run(command, env=self.environment, input=stdin, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def __call__(self, *arguments: str, stdin: str | None = None) -> Any:
        output = self.text(*arguments, "--format=json", stdin=stdin)
        return json.loads(output) if output else None
