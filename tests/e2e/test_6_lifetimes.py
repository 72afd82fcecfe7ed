# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Machines come and go; address, runs, artifacts, users and trust stay."""

from __future__ import annotations

import time

import mlflow
import pytest
import requests

from tests.e2e.deployment import Deployment

INSTANCE = "projects/{project}/zones/europe-west1-b/instances/mlflow-server"


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


def act(site: Deployment, verb: str) -> None:
    """Starts, stops or resets the machine and waits for the operation."""
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
    created = requests.post(
        f"{site.url}/api/2.0/mlflow/users/create",
        json={"username": "ada", "password": "a-long-password-of-ada"},
        auth=site.admin,
        verify=str(site.ca),
        timeout=30,
    )
    assert created.ok, created.text

    operation = site.call("DELETE", "compute", INSTANCE.format(project=site.project))
    wait_for(site, operation["name"])
    site.playbook("site.yml", log="after-delete")

    site.wait_until_serving()
    assert site.admin[1] == password
    assert site.ca.read_bytes() == trusted
    assert_run(run_id, "before-delete")
    answer = requests.get(
        f"{site.url}/api/2.0/mlflow/users/get",
        params={"username": "ada"},
        auth=("ada", "a-long-password-of-ada"),
        verify=str(site.ca),
        timeout=30,
    )
    assert answer.ok, answer.text
