# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Service Networking: private services access, which gives Google's services addresses in a VPC network."""
