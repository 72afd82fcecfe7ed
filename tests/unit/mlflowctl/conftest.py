# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Import mlflowctl with psycopg 3 in place of psycopg2, which only a release on the VM has.

The names that the program uses are the same in both drivers.
"""

from __future__ import annotations

import sys

import psycopg

sys.modules.setdefault("psycopg2", psycopg)
sys.modules.setdefault("psycopg2.errors", psycopg.errors)
