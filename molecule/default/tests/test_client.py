# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A real MLflow client over TLS, and the permissions of users."""

from __future__ import annotations

import os
import secrets as random
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow_server import Server
from testinfra.host import Host


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(server.ca))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    # Multipart uploads begin at 500 MiB by default. With 8 MiB the test takes one second.
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(8 * 1024 * 1024))
    return MlflowClient(server.url)


def test_log_a_run(client: MlflowClient, host: Host, tmp_path: Path) -> None:
    experiment = client.create_experiment(f"experiment-{random.token_hex(4)}")
    run = client.create_run(experiment).info.run_id
    client.log_param(run, "learning_rate", 0.1)
    for step in range(20):
        client.log_metric(run, "loss", 1 / (step + 1), step=step)
    big = tmp_path / "big.bin"
    content = os.urandom(1024 * 1024) * 20
    big.write_bytes(content)
    client.log_artifact(run, str(big), "files")
    client.set_terminated(run)

    read = client.get_run(run)
    assert read.data.params == {"learning_rate": "0.1"}
    assert read.data.metrics == {"loss": 0.05}
    assert len(client.get_metric_history(run, "loss")) == 20
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    assert read.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert Path(client.download_artifacts(run, "files/big.bin", str(downloads))).read_bytes() == content
    assert host.file(f"/srv/mlflow-artifacts/{experiment}/{run}/artifacts/files/big.bin").size == len(content)
    count = f"select count(*) from metrics where run_uuid = '{run}'"
    rows = host.check_output("runuser -u postgres -- psql -At mlflow -c %s", count)
    assert rows == "20"


def test_wrong_password(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-the-password")
    with pytest.raises(MlflowException, match="User name or password is wrong"):
        client.search_experiments()


def test_unknown_ca(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    with pytest.raises(MlflowException, match=r"(?i)certificate verify failed"):
        client.search_experiments()


def test_other_users_can_read_and_cannot_write(
    client: MlflowClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, password = f"user-{random.token_hex(4)}", random.token_hex(12)
    experiment = client.create_experiment(f"experiment-{random.token_hex(4)}")
    account = {"username": name, "password": password}
    created = server.ask("POST", "/api/2.0/mlflow/users/create", signed_in=True, json=account)
    assert created.status_code == 200
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    mlflow.set_tracking_uri(server.url)
    assert client.get_experiment(experiment).experiment_id == experiment
    with pytest.raises(MlflowException, match="Permission denied"):
        client.create_run(experiment)
    own = client.create_experiment(f"experiment-{random.token_hex(4)}")
    assert client.create_run(own).info.experiment_id == own
