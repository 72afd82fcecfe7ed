# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Start mlflowctl, with the modules of this version of the program.

A link leads to this directory. The link may lead to another version after an update, so the real path is used.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mlflowctl.cli import main

# The workers of a process pool import this file again.
if __name__ == "__main__":
    sys.exit(main())
