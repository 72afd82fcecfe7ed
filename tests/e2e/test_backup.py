# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A restore recovers damaged data, and a restore drill leaves no resources."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import mlflow
import pytest
import requests

from tests.e2e.deployment import Deployment

NAME = "e2e-1"
ADA = ("ada-of-the-backup", "a-long-password-of-ada")


@pytest.fixture(autouse=True)
def client(site: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure MLflow's client for this deployment."""
    for name, value in site.client_environment.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(site.url)


def bucket(site: Deployment, kind: str) -> str:
    return f"{site.project}-mlflow-{kind}"


def objects(site: Deployment, kind: str = "artifacts") -> list[dict[str, Any]]:
    """Return the objects of a bucket without the lock, which a run that has just ended may still have."""
    found = site.call("GET", "storage", f"b/{bucket(site, kind)}/o").get("items", [])
    return [each for each in found if each["name"] != f"deployments/{site.project}/mlflow/lock"]


def content(site: Deployment, kind: str, name: str) -> bytes:
    base = site.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"]
    answer = site.session.get(f"{base}b/{bucket(site, kind)}/o/{quote(name, safe='')}", params={"alt": "media"})
    assert answer.ok, answer.text
    return bytes(answer.content)


def artifacts(site: Deployment) -> dict[str, str]:
    """Download the artifacts; map each name to the SHA-256 of its bytes."""
    return {
        found["name"]: hashlib.sha256(content(site, "artifacts", found["name"])).hexdigest() for found in objects(site)
    }


def runs(site: Deployment) -> list[Any]:
    """Return all data of all runs in a fixed order, including deleted runs."""
    api = mlflow.MlflowClient()
    experiments = [found.experiment_id for found in api.search_experiments(view_type=mlflow.entities.ViewType.ALL)]
    found = api.search_runs(experiments, run_view_type=mlflow.entities.ViewType.ALL, max_results=5000)
    return sorted((run.to_dictionary() for run in found), key=lambda run: str(run["info"]["run_id"]))


def sign_in(site: Deployment, who: tuple[str, str] = ADA) -> int:
    return requests.get(
        f"{site.url}/api/2.0/mlflow/users/get",
        params={"username": who[0]},
        auth=who,
        verify=str(site.ca),
        timeout=30,
    ).status_code


def instances(site: Deployment) -> set[str]:
    found = site.call("GET", "sql", f"v1/projects/{site.project}/instances").get("items", [])
    return {instance["name"] for instance in found}


def buckets(site: Deployment) -> set[str]:
    return {found["name"] for found in site.call("GET", "storage", "b", params={"project": site.project})["items"]}


def backup_runs(site: Deployment) -> dict[str, str]:
    return {run["description"]: run["id"] for run in listed_backup_runs(site)}


def listed_backup_runs(site: Deployment) -> list[dict[str, Any]]:
    path = f"v1/projects/{site.project}/instances/mlflow-database/backupRuns"
    return [run for run in site.call("GET", "sql", path).get("items", []) if "description" in run]


@dataclass
class Point:
    """The data at the time of the backup."""

    runs: list[Any]
    artifacts: dict[str, str]
    output: str

    @property
    def first(self) -> str:
        """The run that the test damages."""
        return str(next(run for run in self.runs if run["data"]["tags"].get("kept") == "0")["info"]["run_id"])


@pytest.fixture(scope="module")
def point(site: Deployment) -> Point:
    """Create runs, artifacts and a user, and make a backup."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.client_environment.items():
            patch.setenv(name, value)
        mlflow.set_tracking_uri(site.url)
        mlflow.set_experiment("backed-up")
        for number in range(3):
            with mlflow.start_run(tags={"kept": str(number)}):
                mlflow.log_params({"number": number, "name": "übung"})
                for step in range(20):
                    mlflow.log_metric("loss", 1 / (step + 1), step=step)
                mlflow.log_text(f"note {number}\n" * 10_000, "notes/note ü.txt")
        created = requests.post(
            f"{site.url}/api/2.0/mlflow/users/create",
            json={"username": ADA[0], "password": ADA[1]},
            auth=site.admin,
            verify=str(site.ca),
            timeout=30,
        )
        assert created.ok, created.text
        before = runs(site)
        # The state after a killed run: a database backup without a record, older than the row counts.
        path = f"v1/projects/{site.project}/instances/mlflow-database/backupRuns"
        site.call("POST", "sql", path, data=json.dumps({"description": f"mlflow backup {NAME}"}))
        done = site.playbook("playbooks/backup.yml", "-e", f"backup_name={NAME}", log="backup")
        return Point(before, artifacts(site), done.stdout)


def record(site: Deployment, name: str = NAME) -> dict[str, Any]:
    return dict(json.loads(content(site, "backups", f"backups/{name}/backup.json")))


def test_a_backup_reports_its_content(site: Deployment, point: Point) -> None:
    made = record(site)
    assert made["deployment"] == f"{site.project}/mlflow"
    assert made["artifacts"]["objects"] == len(point.artifacts)
    assert made["rows"]["before"]["mlflow"]["tables"]["runs"][0] == len(point.runs)
    assert made["rows"]["before"] == made["rows"]["after"]
    # The database backup of the killed run is deleted, so only one is found.
    named = [run for run in listed_backup_runs(site) if run["description"] == f"mlflow backup {NAME}"]
    assert [run["id"] for run in named] == [made["database"]["backup"]]
    assert made["release"]["version"] == mlflow.__version__
    assert made["secrets"]["mlflow-admin-password"].isdigit()
    assert site.secret("mlflow-database-uri").split(":")[2].split("@")[0] not in json.dumps(made)
    assert f"Created backup {NAME} of {site.project}/mlflow" in " ".join(point.output.split())


def test_the_machine_cannot_read_it(site: Deployment, point: Point) -> None:
    found = site.call("GET", "storage", f"b/{bucket(site, 'backups')}")
    assert found["versioning"]["enabled"]
    assert found["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]
    assert found["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    token = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
    listing = f"https://storage.googleapis.com/storage/v1/b/{bucket(site, 'backups')}/o"
    said = site.ssh(
        f"token=$(curl -sfH 'Metadata-Flavor: Google' {token} | python3 -c"
        " 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])');"
        f' curl -s -o /dev/null -w "%{{http_code}}" -H "Authorization: Bearer $token" {listing}'
    )
    assert said == "403"


def test_a_drill_restores_and_measures(site: Deployment, point: Point) -> None:
    there = instances(site), buckets(site)
    # The state after a killed drill.
    left = f"{site.project}-drill-left"
    site.call("POST", "storage", "b", params={"project": site.project}, data=json.dumps({"name": left}))
    site.store("temporary-drill.json", {"instance": "mlflow-drill-left", "bucket": left})
    done = site.playbook("playbooks/restore_drill.yml", log="drill")
    said = " ".join(done.stdout.split())
    assert re.search(r"RPO \d+ s", said), said[-2000:]
    assert re.search(r"RTO \d+ s", said)
    tables = sum(len(database["tables"]) for database in record(site)["rows"]["before"].values())
    assert f"{tables} tables equal to the backup" in said
    assert f"{len(point.artifacts)} of them" in said, "not every artifact was read"
    assert (instances(site), buckets(site)) == there
    assert site.stored("temporary-drill.json") is None


def test_a_restore_brings_everything_back(site: Deployment, point: Point) -> None:
    mlflow.set_experiment("backed-up")
    with mlflow.start_run(run_id=point.first):
        mlflow.log_text("overwritten", "notes/note ü.txt")
        mlflow.log_metric("loss", 99.0, step=99)
    mlflow.MlflowClient().delete_run(point.first)
    names = sorted(point.artifacts)
    lost = next(name for name in names if point.first not in name)
    site.call("DELETE", "storage", f"b/{bucket(site, 'artifacts')}/o/{quote(lost, safe='')}")
    with mlflow.start_run() as later:
        mlflow.log_text("later", "later.txt")
    deleted = requests.delete(
        f"{site.url}/api/2.0/mlflow/users/delete",
        json={"username": ADA[0]},
        auth=site.admin,
        verify=str(site.ca),
        timeout=30,
    )
    assert deleted.ok, deleted.text
    assert artifacts(site) != point.artifacts

    confirm = f"backup_restore_confirm={site.project}/mlflow"
    done = site.playbook("playbooks/restore.yml", "-e", f"backup_name={NAME}", "-e", confirm, log="restore")

    assert runs(site) == point.runs
    now = artifacts(site)
    assert {name: now.get(name) for name in point.artifacts} == point.artifacts
    assert [name for name in now if name not in point.artifacts] == [
        name for name in now if later.info.run_id in name
    ], "only what came later may be there besides"
    assert sign_in(site) == 200
    assert sign_in(site, site.admin) == 200
    with mlflow.start_run(run_id=point.first):
        mlflow.set_tag("after", "restore")
    said = " ".join(done.stdout.split())
    assert re.search(r"The server was in maintenance mode for \d+ s", said)
    (replaced,) = [name for name in backup_runs(site) if name.startswith("mlflow backup before-restore-")]
    assert f"To undo the restore: -e backup_name={replaced.removeprefix('mlflow backup ')} -e {confirm}" in said
    assert not (site.state / "restore.json").exists()


def test_only_so_many_are_kept(site: Deployment, point: Point) -> None:
    site.playbook("playbooks/backup.yml", "-e", "backup_name=e2e-2", "-e", "backup_keep=1", log="backup-prune")
    assert [name for name in backup_runs(site) if name.startswith("mlflow backup ")] == ["mlflow backup e2e-2"]
    kept = {found["name"] for found in objects(site, "backups")}
    assert kept == {"backups/e2e-2/backup.json", "backups/e2e-2/artifacts.ndjson.gz"}
