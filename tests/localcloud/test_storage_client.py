# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage with Google's client, and with MLflow, which uses this client."""

from __future__ import annotations

import io
import os
import pathlib

import pytest
import requests
from google.cloud import storage
from google.cloud.storage import transfer_manager

from tests.localcloud.harness import Local


@pytest.fixture
def bucket(local: Local, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", local.url)
    client = storage.Client(project="mlflow-local", credentials=local.credentials())
    bucket = client.bucket("bucket")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.versioning_enabled = True
    return client.create_bucket(bucket, location="europe-west1")


def test_large_objects(bucket: storage.Bucket, tmp_path: pathlib.Path) -> None:
    data = os.urandom(9 * 2**20 + 17)
    blob = bucket.blob("dir/big", chunk_size=2**20)
    blob.upload_from_file(io.BytesIO(data))
    assert blob.size == len(data)
    assert blob.download_as_bytes() == data
    fresh = bucket.blob("dir/big")
    assert fresh.download_as_bytes(start=5, end=2**20) == data[5 : 2**20 + 1]
    target = tmp_path / "big"
    transfer_manager.download_chunks_concurrently(blob, str(target), chunk_size=2**21, worker_type="thread")
    assert target.read_bytes() == data


def test_versions_and_batches(bucket: storage.Bucket) -> None:
    client = bucket.client
    for text in ("one", "two"):
        bucket.blob("a").upload_from_string(text)
    bucket.blob("b").upload_from_string("b")
    versions = list(client.list_blobs(bucket, versions=True))
    assert [b.name for b in versions] == ["a", "a", "b"]
    assert versions[0].download_as_text() == "one"
    with client.batch():
        for blob in versions:
            blob.delete()
    assert list(client.list_blobs(bucket, versions=True)) == []
    bucket.delete()


def test_mlflow_artifacts(bucket: storage.Bucket, tmp_path: pathlib.Path) -> None:
    artifacts = pytest.importorskip("mlflow.store.artifact.gcs_artifact_repo")
    repository = artifacts.GCSArtifactRepository("gs://bucket/1/run/artifacts", client=bucket.client)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x.txt").write_text("x")
    (tmp_path / "in" / "y.txt").write_text("y")
    repository.log_artifacts(str(tmp_path / "in"), "model")
    assert [(f.path, f.is_dir) for f in repository.list_artifacts("model")] == [
        ("model/sub", True),
        ("model/y.txt", False),
    ]
    (tmp_path / "out").mkdir()
    repository.download_artifacts("model", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model" / "sub" / "x.txt").read_text() == "x"
    repository.delete_artifacts("model")
    assert repository.list_artifacts("model") == []


def test_mlflow_signs_urls_of_parts(bucket: storage.Bucket, tmp_path: pathlib.Path) -> None:
    """MLflow signs with the key of an account, and begins and completes the upload with a token."""
    artifacts = pytest.importorskip("mlflow.store.artifact.gcs_artifact_repo")
    pytest.importorskip("google.resumable_media")
    entities = pytest.importorskip("mlflow.entities.multipart_upload")
    repository = artifacts.GCSArtifactRepository("gs://bucket/1/run/artifacts", client=bucket.client)
    parts = (os.urandom(5 * 2**20), b"end")
    begun = repository.create_multipart_upload("big.bin", num_parts=2, artifact_path="model")
    sent = [requests.put(each.url, data=data, timeout=30) for each, data in zip(begun.credentials, parts, strict=True)]
    assert [each.status_code for each in sent] == [200, 200]
    altered = begun.credentials[0].url.replace("big.bin", "other.bin")
    assert requests.put(altered, data=b"x", timeout=30).status_code == 403
    done = [entities.MultipartUploadPart(n, each.headers["ETag"]) for n, each in enumerate(sent, 1)]
    repository.complete_multipart_upload("big.bin", begun.upload_id, done, artifact_path="model")
    assert bucket.blob("1/run/artifacts/model/big.bin").download_as_bytes() == b"".join(parts)
    begun = repository.create_multipart_upload("gone.bin")
    repository.abort_multipart_upload("gone.bin", begun.upload_id)
    assert requests.put(begun.credentials[0].url, data=b"x", timeout=30).status_code == 404
