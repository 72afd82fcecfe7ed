# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Address, runs, artifacts, users, permissions and trust outlive a VM."""

from __future__ import annotations

import time
from typing import Any

import mlflow
import pytest
import requests

from tests.e2e.deployment import Deployment

INSTANCE = "projects/{project}/zones/europe-west1-b/instances/mlflow-server"
ADA = ("ada", "a-long-password-of-ada")


@pytest.fixture(autouse=True)
def client(site: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.client_environment.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(site.url)


def log_run(name: str) -> str:
    mlflow.set_experiment("lifetimes")
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_param("name", name)
        mlflow.log_text(name * 1000, "note.txt")
    return str(run.info.run_id)


def assert_run(run_id: str, name: str) -> None:
    assert mlflow.MlflowClient().get_run(run_id).data.params["name"] == name
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == name * 1000


def ask(site: Deployment, path: str, body: dict[str, Any], user: tuple[str, str]) -> requests.Response:
    """Send a request to MLflow's API as a user."""
    return requests.post(f"{site.url}/api/{path}", json=body, auth=user, verify=str(site.ca), timeout=30)


def make_ada(site: Deployment) -> str:
    """Create a user and an experiment of the administrator that she may edit; return its ID."""
    user = {"username": ADA[0], "password": ADA[1]}
    experiment = mlflow.create_experiment("ada-may-write")
    grant = {"username": ADA[0], "resource_type": "experiment", "resource_id": experiment, "permission": "EDIT"}
    for path, body in [("2.0/mlflow/users/create", user), ("3.0/mlflow/users/permissions/grant", grant)]:
        answer = ask(site, path, body, site.admin)
        assert answer.ok, f"{path}: {answer.text}"
    return experiment


def assert_ada_writes_only_to(site: Deployment, experiment: str) -> None:
    """Assert that the user reads every experiment and writes only to the permitted one."""
    other = mlflow.get_experiment_by_name("lifetimes").experiment_id
    assert ask(site, "2.0/mlflow/runs/search", {"experiment_ids": [other]}, ADA).status_code == 200
    assert ask(site, "2.0/mlflow/runs/create", {"experiment_id": other}, ADA).status_code == 403
    assert ask(site, "2.0/mlflow/runs/create", {"experiment_id": experiment}, ADA).status_code == 200


def act(site: Deployment, verb: str) -> None:
    """Start, stop or reset the VM and wait for the operation."""
    operation = site.call("POST", "compute", f"{INSTANCE.format(project=site.project)}/{verb}")
    wait_for(site, operation["name"])


def wait_for(site: Deployment, operation: str) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        path = f"projects/{site.project}/zones/europe-west1-b/operations/{operation}/wait"
        if site.call("POST", "compute", path)["status"] == "DONE":
            return
    raise AssertionError(f"operation {operation} is not done")


def test_stop_and_start(site: Deployment) -> None:
    run_id = log_run("before-stop")
    act(site, "stop")
    act(site, "start")
    site.wait_until_serving()
    assert_run(run_id, "before-stop")
    found = site.call("GET", "compute", INSTANCE.format(project=site.project))
    assert found["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == site.address


def test_power_cut_loses_no_finished_run(site: Deployment) -> None:
    run_id = log_run("before-reset")
    act(site, "reset")
    site.wait_until_serving()
    assert_run(run_id, "before-reset")


def test_a_deleted_machine_is_made_anew(site: Deployment) -> None:
    run_id = log_run("before-delete")
    password, trusted = site.admin[1], site.ca.read_bytes()
    experiment = make_ada(site)
    assert_ada_writes_only_to(site, experiment)

    operation = site.call("DELETE", "compute", INSTANCE.format(project=site.project))
    wait_for(site, operation["name"])
    site.playbook("site.yml", log="after-delete")

    site.wait_until_serving()
    assert site.admin[1] == password
    assert site.ca.read_bytes() == trusted
    assert_run(run_id, "before-delete")
    assert_ada_writes_only_to(site, experiment)
