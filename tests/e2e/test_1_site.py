# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of an empty project, the first run, the second."""

from __future__ import annotations

from tests.e2e.deployment import Deployment, changes

RESOURCES = [
    "mlflow-network",
    "mlflow-subnetwork",
    "mlflow-services",
    "mlflow-allow-https",
    "mlflow-allow-ssh",
    "mlflow-address",
    "mlflow-server",
    "mlflow-artifacts",
    "mlflow-database",
    "mlflow-database-uri",
    "mlflow-database-ca",
    "mlflow-admin-password",
    "mlflow-flask-secret-key",
    "mlflow-ca",
    "mlflow-certificate",
    "mlflow_auth",
    "roles/storage.objectUser",
    "roles/secretmanager.secretAccessor",
    "roles/logging.logWriter",
    "sqladmin.googleapis.com",
]


def enabled(deployment: Deployment) -> set[str]:
    answer = deployment.call(
        "GET", "serviceusage", f"v1/projects/{deployment.project}/services", params={"filter": "state:ENABLED"}
    )
    return {service["config"]["name"] for service in answer.get("services", [])}


def test_check_mode_prints_the_whole_plan_and_makes_nothing(deployment: Deployment) -> None:
    before = enabled(deployment)
    plan = deployment.playbook("site.yml", "--check", "--diff", log="plan").stdout
    missing = [name for name in RESOURCES if name not in plan]
    assert not missing, f"the plan does not show {missing}"
    assert changes(plan)["localhost"] >= 20
    assert enabled(deployment) == before
    assert "compute.googleapis.com" not in before, "the project was not empty to begin with"
    assert deployment.call("GET", "storage", "b", params={"project": deployment.project}).get("items", []) == []
    assert not deployment.state.exists()


def test_second_run_changes_nothing(site: Deployment) -> None:
    again = site.playbook("site.yml", "-vvv", log="again-vvv").stdout
    assert changes(again) == {"localhost": 0, "mlflow-server": 0}


def test_check_mode_after_the_run_is_empty(site: Deployment) -> None:
    plan = site.playbook("site.yml", "--check", "--diff", log="plan-after").stdout
    assert changes(plan) == {"localhost": 0, "mlflow-server": 0}
