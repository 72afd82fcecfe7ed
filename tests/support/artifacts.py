# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Write artifacts of the filled runs. Runs in the container; the argument is the number of runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

ROOT = Path("/srv/mlflow-artifacts")
for number in range(int(sys.argv[1])):
    directory = (
        ROOT
        / "1000001"
        / hashlib.md5(f"run {number}".encode(), usedforsecurity=False).hexdigest()
        / "artifacts"
        / "filled"
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "data.bin").write_bytes(os.urandom(1000 + 37 * number))
for path in [ROOT / "1000001", *(ROOT / "1000001").rglob("*")]:
    shutil.chown(path, "mlflow", "mlflow")
