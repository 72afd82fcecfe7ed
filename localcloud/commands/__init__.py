# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: each module has `configure(parser)` and `run(arguments) -> int | None`."""
