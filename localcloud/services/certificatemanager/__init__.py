# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Certificate Manager: DNS authorizations.

Google checks the DNS record of an authorization when it issues a certificate. The local cloud issues none.
"""
