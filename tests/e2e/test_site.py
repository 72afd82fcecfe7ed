# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Test the plan of an empty project, the first run and the second run."""

from __future__ import annotations

import re

import pytest

from tests.e2e.deployment import Deployment, FirstRun, changes

SERVICES = (
    "cloudresourcemanager",
    "compute",
    "iam",
    "iamcredentials",
    "secretmanager",
    "servicenetworking",
    "sqladmin",
    "storage",
)
# Secrets that the VM may read. The key of the CA is not one of them.
READ = (
    *("admin-password", "certificate", "crypto-kek-passphrase", "database-ca", "database-uri", "flask-secret-key"),
    "webhook-encryption-key",
)
PLANNED = re.compile(r"^\+\+\+ after: (.+)$", re.MULTILINE)


def resources(project: str) -> list[str]:
    """Return all resources of the plan of an empty project.

    The VM may not sign URLs: direct transfers are off where Cloud Storage has another endpoint.
    """
    bucket = f"bucket {project}-mlflow-artifacts"
    machine = f"serviceAccount:mlflow-server@{project}.iam.gserviceaccount.com"
    return [
        "APIs " + ", ".join(f"{name}.googleapis.com" for name in SERVICES),
        "network mlflow-network",
        "subnetwork mlflow-subnetwork",
        "private services access mlflow-services of network mlflow-network",
        "firewall rule mlflow-allow-https",
        "firewall rule mlflow-allow-ssh",
        "address mlflow-address",
        "service account mlflow-server",
        f"roles/logging.logWriter for {machine} on project {project}",
        bucket,
        f"roles/storage.objectUser for {machine} on {bucket}",
        f"bucket {project}-mlflow-backups",
        *(f"secret mlflow-{name}" for name in (*READ, "ca", "user-alice")),
        *(f"roles/secretmanager.secretAccessor for {machine} on secret mlflow-{name}" for name in READ),
        "Cloud SQL instance mlflow-database",
        "database mlflow of Cloud SQL instance mlflow-database",
        "database mlflow_auth of Cloud SQL instance mlflow-database",
        "user mlflow of Cloud SQL instance mlflow-database",
        "instance mlflow-server",
    ]


def enabled(deployment: Deployment) -> set[str]:
    answer = deployment.call(
        "GET", "serviceusage", f"v1/projects/{deployment.project}/services", params={"filter": "state:ENABLED"}
    )
    return {service["config"]["name"] for service in answer.get("services", [])}


def test_check_mode_prints_the_whole_plan_and_makes_nothing(unbuilt: Deployment) -> None:
    before = enabled(unbuilt)
    plan = unbuilt.playbook("site.yml", "--check", "--diff", log="plan").stdout
    # The plan names a secret twice if it also shows a new version.
    assert sorted(set(PLANNED.findall(plan))) == sorted(resources(unbuilt.project))
    _, _, user = plan.partition("\n+++ after: user mlflow of Cloud SQL instance mlflow-database\n")
    assert "password: (hidden)" in user.partition("\nTASK ")[0]
    assert enabled(unbuilt) == before
    assert "compute.googleapis.com" not in before, "the project was not empty to begin with"
    assert unbuilt.call("GET", "storage", "b", params={"project": unbuilt.project}).get("items", []) == []
    assert not unbuilt.state.exists()


def test_the_first_run_starts_one_server(first_run: FirstRun) -> None:
    """The credentials are new, but the first run must not report a change, because a change starts the other slot."""
    assert sorted(first_run.started)[0] == "0"
    assert len(set(first_run.started)) == 2


def test_the_first_run_warns_only_of_missing_resources(site: Deployment, first_run: FirstRun) -> None:
    warnings = re.findall(r"^\[WARNING\]: (.+)$", first_run.output, re.MULTILINE)
    expected = (f"The Compute Engine API is not enabled in project {site.project} yet", "provided hosts list is empty")
    assert [warning for warning in warnings if not warning.startswith(expected)] == []
    assert len(warnings) == len(expected)


def test_each_core_has_a_worker_and_jobs_have_no_process(site: Deployment) -> None:
    """The defaults apply: mlflow_workers is 0, and jobs are off."""
    processes = site.ssh("ps -u mlflow -o args=").splitlines()
    assert len([line for line in processes if "spawn_main" in line]) == int(site.ssh("nproc"))
    assert not [line for line in processes if "huey" in line]


def test_a_user_has_the_permissions_of_the_role(site: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = {"MLFLOW_TRACKING_USERNAME": "alice", "MLFLOW_TRACKING_PASSWORD": site.secret("mlflow-user-alice")}
    for name, value in (site.client_environment | alice).items():
        monkeypatch.setenv(name, value)
    import mlflow

    mlflow.set_tracking_uri(site.url)
    mlflow.MlflowClient().set_experiment_tag("0", "edited-by", "alice")
    assert mlflow.get_experiment("0").tags["edited-by"] == "alice"


def test_another_run_changes_nothing(site: Deployment) -> None:
    """In a run of all files, this is after a rotation, a restore and a new VM."""
    again = site.playbook("site.yml", "-vvv", log="again-vvv").stdout
    assert changes(again) == {"localhost": 0, "mlflow-server": 0}
