# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Data that an upgrade, a rollback and a restore must keep: rows in every table, runs and artifacts of a client."""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tests.e2e.deployment import Deployment
from tests.support import rows

FILLED_RUNS = 1000
DATABASES = ("mlflow", "mlflow_auth")
# Each deployment has another administrator password, so that row is not compared.
WHERE = rows.FILLED | {"users": "username LIKE 'person-%'"}
# Only the service user of the VM can connect to the database.
RUN = (
    *("sudo", "systemd-run", "--wait", "--pipe", "--collect", "--quiet", "--property=User=mlflow"),
    *("--property=LoadCredential=mlflow.database-uri", "--property=LoadCredential=mlflow.database-ca"),
    *("/opt/mlflow/current/bin/python", "-I", "-c"),
)
SQL = """
import os, sys
import psycopg2
folder = os.environ["CREDENTIALS_DIRECTORY"]
with open(folder + "/mlflow.database-uri") as uri:
    address = uri.read().strip().replace("+psycopg2", "")
connection = psycopg2.connect(address, dbname=sys.argv[1], sslrootcert=folder + "/mlflow.database-ca")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(sys.stdin.buffer.read().decode())
for row in cursor.fetchall() if cursor.description else []:
    print(*row, sep="|")
"""


def execute(deployment: Deployment) -> rows.Execute:
    """Run SQL in a database of a deployment."""

    def run(database: str, sql: str, /) -> str:
        return deployment.ssh(shlex.join([*RUN, SQL, database]), given=sql).strip()

    return run


@contextmanager
def client_of(deployment: Deployment) -> Iterator[MlflowClient]:
    """Yield an MLflow client of a deployment; restore the former tracking URI at the end."""
    others = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deployment.client_environment.items():
            patch.setenv(name, value)
        mlflow.set_tracking_uri(deployment.url)
        yield MlflowClient(deployment.url)
        mlflow.set_tracking_uri(others)


def look(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Return the data of a run that a client can read, with checksums of the artifacts."""
    run = client.get_run(run_id)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(client.download_artifacts(run_id, "", name))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sums = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"status": run.info.status, **run.data.to_dictionary(), "artifacts": sums}


@dataclass(frozen=True)
class Data:
    """Rows and runs at one time."""

    tables: dict[str, rows.Snapshot]
    runs: dict[str, dict[str, Any]]

    def differences(self, deployment: Deployment, client: MlflowClient) -> dict[str, Any]:
        """Return the changed tables and runs of a deployment; ignore new ones."""
        answer: dict[str, Any] = {}
        for name, snapshot in self.tables.items():
            answer |= rows.differences(execute(deployment), name, snapshot, WHERE)
        now = {run_id: look(client, run_id) for run_id in self.runs}
        return answer | {run_id: (then, now[run_id]) for run_id, then in self.runs.items() if now[run_id] != then}


def make(deployment: Deployment, client: MlflowClient) -> Data:
    """Create rows as MLflow 2.22 writes them, and runs that a client logs."""
    run = execute(deployment)
    rows.fill(run, FILLED_RUNS)
    experiment = client.create_experiment("kept")
    made = [log(client, experiment, number) for number in range(3)]
    return Data(
        tables={name: rows.snapshot(run, name, WHERE) for name in DATABASES},
        runs={run_id: look(client, run_id) for run_id in made},
    )


def log(client: MlflowClient, experiment: str, number: int) -> str:
    """Log a run with metrics, parameters, tags and artifacts of one byte to one megabyte."""
    run_id = str(client.create_run(experiment, run_name=f"kept {number}").info.run_id)
    metrics = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(10)]
    client.log_batch(run_id, metrics, [Param("number", str(number))], [RunTag("name", "übung")])
    with tempfile.TemporaryDirectory() as name:
        for size in (1, 1000, 100_000, 1_000_000):
            path = Path(name) / f"{size}.bin"
            path.write_bytes(os.urandom(size))
        client.log_artifacts(run_id, name, "some/folder")
    client.set_terminated(run_id)
    return run_id
