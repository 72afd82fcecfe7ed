# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Purge deleted runs permanently: their rows, and their objects in the bucket.

There was no way to purge deleted runs without reading the database password by hand.
"""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from tests.e2e.deployment import Deployment, changes

EXPERIMENT = "gc"


@pytest.fixture
def client(site: Deployment, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    for name, value in site.client_environment.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(site.url)
    return mlflow.MlflowClient()


def log(client: mlflow.MlflowClient, experiment: str) -> str:
    """Log a run with a metric and two artifacts."""
    run = client.create_run(experiment, run_name="to-be-purged").info.run_id
    client.log_metric(run, "loss", 1.0)
    client.log_text(run, "x" * 1000, "notes/a.txt")
    client.log_text(run, "y" * 1000, "notes/deep/b.txt")
    client.set_terminated(run)
    return str(run)


def objects(site: Deployment, prefix: str) -> list[str]:
    """Return the names of the live objects with a prefix."""
    found = site.call("GET", "storage", f"b/{site.project}-mlflow-artifacts/o", params={"prefix": prefix})
    return [each["name"] for each in found.get("items", [])]


def purge(site: Deployment, *arguments: str, **settings: Any) -> tuple[int, int, str]:
    """Run the purge; return the exit code, the changes and the output on one line."""
    done = site.playbook("playbooks/gc.yml", "-e", json.dumps(settings), *arguments, check=False, log="gc")
    return done.returncode, sum(changes(done.stdout).values()), " ".join(done.stdout.split())


def test_deleted_runs_are_purged_with_their_objects(site: Deployment, client: mlflow.MlflowClient) -> None:
    experiment = client.create_experiment(EXPERIMENT)
    purged, young, active = (log(client, experiment) for _ in range(3))
    client.delete_run(purged)
    client.delete_run(young)
    password = site.secret("mlflow-database-uri").partition("://")[2].partition("@")[0].partition(":")[2]

    named = {"gc_run_ids": [purged], "gc_older_than": "0d"}
    code, changed, said = purge(site, "--check", **named)
    assert (code, changed) == (0, 1), said[-3000:]
    assert f"Would purge run {purged} (to-be-purged, experiment {experiment}" in said
    assert "2 artifacts, 2000 bytes" in said
    assert client.get_run(purged).info.lifecycle_stage == "deleted"
    assert len(objects(site, f"{experiment}/{purged}/")) == 2

    code, changed, said = purge(site, "-vvv", **named)
    assert (code, changed) == (0, 1), said[-3000:]
    assert password not in said
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(purged)
    assert objects(site, f"{experiment}/{purged}/") == []
    assert client.get_run(young).info.lifecycle_stage == "deleted"
    assert client.get_run(active).info.lifecycle_stage == "active"
    assert len(objects(site, f"{experiment}/{young}/")) == len(objects(site, f"{experiment}/{active}/")) == 2

    # The experiment is purged with its runs. Objects of the young run that are already deleted cause no error.
    site.call(
        "DELETE", "storage", f"b/{site.project}-mlflow-artifacts/o/{experiment}%2F{young}%2Fartifacts%2Fnotes%2Fa.txt"
    )
    client.delete_experiment(experiment)
    code, _changed, said = purge(site, gc_experiment_ids=[experiment], gc_older_than="0d")
    assert code == 0, said[-3000:]
    assert objects(site, f"{experiment}/") == []
    assert client.get_experiment_by_name(EXPERIMENT) is None
