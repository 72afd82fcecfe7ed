# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Code that tests have each Python process of a release run at its start, so that it fails there."""

from __future__ import annotations

CRASH = """
import os, threading, time

def die():
    while os.path.realpath("/run/mlflow/mlflow.sock") != own:
        time.sleep(0.1)
    time.sleep(SECONDS)
    os._exit(70)

own = os.environ.get("RUNTIME_DIRECTORY", "/none") + "/mlflow.sock"
if own.startswith("/run/mlflow-"):
    threading.Thread(target=die, daemon=True).start()
"""


def crash(*, after: int) -> str:
    """Every process of a slot dies so many seconds after requests come to it."""
    return CRASH.replace("SECONDS", str(after))
