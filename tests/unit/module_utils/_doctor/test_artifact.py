# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the artifact, and the cost of its content."""

from __future__ import annotations

import os
import re
import time

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.artifact import BLOCK, Noise, artifact
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.run import temporary_run

from tests.unit.module_utils._doctor.harness import Mlflow, endpoint, nothing


def test_an_artifact_is_uploaded_downloaded_and_deleted(mlflow: Mlflow) -> None:
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = artifact(client, made, 3)
    assert result.state == "ok"
    assert re.fullmatch(r"3 MB, content equal, \d+ MB/s up, \d+ MB/s down", result.value)
    assert mlflow.artifacts == {}


def test_an_artifact_with_different_content(mlflow: Mlflow) -> None:
    mlflow.broken = "bytes"
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = artifact(client, made, 1)
    assert result.state == "fail"
    assert "different" in result.value
    assert mlflow.artifacts == {}


def test_a_failed_upload(mlflow: Mlflow) -> None:
    mlflow.broken = "PUT"
    client = endpoint()
    with (
        pytest.raises(NotCheckedError, match="upload of 1 MB: HTTP 500: no room"),
        temporary_run(client, nothing) as made,
    ):
        artifact(client, made, 1)
    assert mlflow.runs == {}


def test_an_artifact_that_cannot_be_deleted(mlflow: Mlflow) -> None:
    mlflow.broken = "DELETE"
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = artifact(client, made, 1)
    assert result.state == "warn"
    assert "cannot be deleted" in result.value


def test_artifacts_that_do_not_go_through_the_server(mlflow: Mlflow) -> None:
    mlflow.location = "gs://elsewhere/0"
    client = endpoint()
    with temporary_run(client, nothing) as made:
        result = artifact(client, made, 1)
    assert result.state == "warn"
    assert "gs://elsewhere/0" in result.value
    assert mlflow.artifacts == {}


def test_noise_has_its_length_and_is_reproducible() -> None:
    seed = os.urandom(BLOCK)
    noise, again = (Noise(2_500_001, seed) for _copy in range(2))
    data = b"".join(iter(lambda: noise.read(100_003), b""))
    assert len(data) == len(noise) == 2_500_001
    assert data == again.read()
    assert data[:1000] != data[1 << 20 : (1 << 20) + 1000]


def test_a_small_read_of_noise_is_cheap() -> None:
    """http.client reads 16 KiB at a time. When each read copied a block of 1 MiB, the upload was limited to 11 MB/s."""
    noise = Noise(100_000_000, os.urandom(BLOCK))
    begin = time.process_time()
    while noise.read(16_384):
        pass
    assert time.process_time() - begin < 1.0  # 8 s with the copies
