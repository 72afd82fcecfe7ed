# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the emulator builds on: documents, clock, contract, errors, faults, profiles. Knows no cloud and no service."""
