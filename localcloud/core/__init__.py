# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Parts that know no cloud and no service: documents, clock, contract, errors, faults, profiles, log of calls."""
