# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The server and the purge delete artifacts in a bucket of a local cloud. A backup may refer to their versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflowctl
import pytest
from google.cloud import storage
from mlflow.exceptions import MlflowException
from mlflow_gcp_server.artifacts import CloudStorageArtifactRepository

from tests.localcloud.harness import Local
from tests.unit.mlflowctl.local_bucket import local_bucket

FOLDER = "0/run/artifacts"
KEPT = {f"{FOLDER}/model-2/a.txt", "0/other/artifacts/model/a.txt"}
DELETED = {f"{FOLDER}/model/a.txt", f"{FOLDER}/model/deep/b.txt"}
# The purge runs without the paths of the tests.
PURGE = """
import sys
sys.path.insert(0, sys.argv[1])
from mlflowctl.gc.artifacts import Artifacts
Artifacts("gs://my-bucket").delete("mlflow-artifacts:/" + sys.argv[2], "run")
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_bucket(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture
def client(local: Local, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    """Return a client of a versioned bucket with objects."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", local.url)
    client = storage.Client(project="mlflow-local", credentials=local.credentials())
    bucket = client.get_bucket("my-bucket")
    bucket.versioning_enabled = True
    bucket.patch()
    for blob in client.list_blobs(bucket, versions=True):
        blob.delete()
    for name in KEPT | DELETED:
        bucket.blob(name).upload_from_string("content")
    return client


def versions(client: storage.Client, *, live: bool) -> set[str]:
    found = client.list_blobs("my-bucket", versions=True)
    return {blob.name for blob in found if (blob.time_deleted is None) == live}


@pytest.mark.parametrize("path", ["model", "model/"])
def test_the_server_keeps_noncurrent_versions(client: storage.Client, path: str) -> None:
    """MLflow's own class deletes them permanently, so a restore of a backup failed."""
    CloudStorageArtifactRepository(f"gs://my-bucket/{FOLDER}", client=client).delete_artifacts(path)
    assert (versions(client, live=True), versions(client, live=False)) == (KEPT, DELETED)


def test_the_purge_keeps_noncurrent_versions(client: storage.Client) -> None:
    program = str(Path(mlflowctl.__file__).parents[1])
    command = [sys.executable, "-I", "-c", PURGE, program, f"{FOLDER}/model"]
    environment = os.environ | {"GOOGLE_CLOUD_PROJECT": "mlflow-local"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (versions(client, live=True), versions(client, live=False)) == (KEPT, DELETED)


def test_an_object_that_is_gone_is_no_error_but_a_bucket_that_is_gone_is(
    client: storage.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = list(client.list_blobs("my-bucket"))
    monkeypatch.setattr(storage.Bucket, "list_blobs", lambda *_, **__: listed)
    client.bucket("my-bucket").delete_blob(listed[0].name)
    CloudStorageArtifactRepository("gs://my-bucket", client=client).delete_artifacts()
    assert versions(client, live=True) == set()
    monkeypatch.undo()
    with pytest.raises(MlflowException, match="no-bucket"):
        CloudStorageArtifactRepository("gs://no-bucket", client=client).delete_artifacts("model")
