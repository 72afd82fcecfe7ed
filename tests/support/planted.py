# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Code that makes a release crash. Tests make each Python process of a release run it at its start."""

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
    """Return code that ends every process of a slot this many seconds after the slot became active."""
    return CRASH.replace("SECONDS", str(after))
