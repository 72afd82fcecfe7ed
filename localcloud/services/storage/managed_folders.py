# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Managed folders: always empty. Tools that remove a bucket list them."""

from __future__ import annotations

from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import api, bucket_of, project_of, require


@api.method("storage.managedFolders.list", permission=None, project=project_of)
def list_folders(call: Call) -> Json:
    """Return an empty list: managed folders cannot be created here."""
    require(call, bucket_of(call), "storage.managedFolders.list")
    return {"kind": "storage#managedFolders"}
