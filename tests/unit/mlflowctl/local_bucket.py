# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A local cloud with a bucket for a real MLflow server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.cloud import storage

from tests.localcloud.harness import Local


@contextmanager
def local_bucket(folder: Path) -> Iterator[Local]:
    """Yield a local cloud with the bucket my-bucket, which all users may change.

    The storage library sends no token to an emulator.
    """
    running = Local(folder)
    running.start()
    try:
        running.enable("storage")
        options = {"api_endpoint": running.url}
        client = storage.Client(project="mlflow-local", credentials=running.credentials(), client_options=options)
        bucket = client.bucket("my-bucket")
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        client.create_bucket(bucket)
        policy = bucket.get_iam_policy(requested_policy_version=3)
        policy.bindings.append({"role": "roles/storage.objectAdmin", "members": {"allUsers"}})
        bucket.set_iam_policy(policy)
        yield running
    finally:
        running.stop()
