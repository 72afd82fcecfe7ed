# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage's JSON API: buckets and their policies, objects with generations, uploads of every kind, batches.

Answered with 501: access control lists (without uniform bucket-level access the default lists apply, see
`api.require`), notifications, folders, HMAC keys. Lifecycle rules are stored and checked, but not executed.
Deleted buckets are removed at once; deleted objects can be restored within the period of the soft delete policy.
"""
