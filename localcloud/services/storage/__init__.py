# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage's JSON API: buckets and their policies, objects with generations, uploads of every kind, batches.

Not here, and answered with 501: access control lists (without uniform bucket-level access the default lists count,
see `_service.require`), notifications, folders, HMAC keys. Lifecycle rules are kept and checked, not carried out.
A deleted bucket is gone at once; deleted objects can be restored for as long as the soft delete policy says.
"""

from localcloud.services.storage import _batch, _buckets, _managed_folders, _objects, _policies, _rewrite, _uploads
from localcloud.services.storage._service import api

__all__ = ["_batch", "_buckets", "_managed_folders", "_objects", "_policies", "_rewrite", "_uploads", "api"]
