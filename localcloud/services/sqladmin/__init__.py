# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud SQL Admin, v1 and v1beta4: PostgreSQL instances on private addresses, their databases, users and backups.

The name of a deleted instance can be reused at once, according to Google's documentation (not tried at Google).
Differences to Google: databases and users created with SQL, outside the API, are not listed; public addresses do not
answer; there are no replicas, client certificates or IAM logins.
"""
