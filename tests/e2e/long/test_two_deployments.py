# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Two deployments in one project from one checkout, and a second control node, with real VMs.

Upgrade, rotate, backup and destroy of one deployment leave the resources and the requests of the other one untouched.
The backup of the upgraded deployment is restored in another project.
The tests run in this order: each one needs the deployments that the former one left.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.e2e.deployment import REPO, Deployment, changes, local_cloud_environment
from tests.e2e.upgrade.data import Data, client_of, make
from tests.support.background import Target, background

OLD, NEW = "2.22.5", "3.17.2"
LOCK = REPO / "molecule" / "upgrade" / f"requirements-{OLD}.txt"
BLUE_RANGE = "10.161.0.0/20"
CHANGED = re.compile(r"^TASK \[(?:[\w.]+ : )?([^\]]+)\] \**\n(?:(?!TASK).*\n)*?changed: \[", re.MULTILINE)
# Files of a control node: copies of public data, and the SSH key.
FILES = {
    "Create the state directory",
    "Create the SSH key pair of the deployer",
    "Save the CA certificates for the clients and the control node",
    "Trust only the SSH host keys of the VM",
}


def deployment(folder: Path, project: str, name: str, subnetwork: str, **variables: Any) -> Deployment:
    """Return a deployment with an inventory directory as in docs/operations/deployments.md."""
    inventory = folder / "inventory" / name
    shutil.copytree(REPO / "inventory" / "mlflow", inventory)
    write_variables(inventory, deployment_name=name, infrastructure_subnetwork_range=subnetwork, **variables)
    artifacts = REPO / "artifacts" / "e2e" / project / name
    return Deployment(project=project, artifacts=artifacts, settings={}, name=name, inventory=inventory)


def write_variables(inventory: Path, **variables: Any) -> None:
    """Write the variables of a deployment."""
    values = {"infrastructure_database_deletion_protection": False, **variables}
    (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def project(local_cloud: None) -> str:
    return f"mlflow-e2e-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def red(project: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield the deployment that no playbook of the other one may touch."""
    made = deployment(tmp_path_factory.mktemp("red"), project, "red", "10.160.0.0/20")
    made.create_project()
    made.playbook("site.yml", log="site")
    yield made
    destroy(made)


@pytest.fixture(scope="module")
def blue(red: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return a deployment of MLflow 2.22 beside the other one. The last test destroys it."""
    folder = tmp_path_factory.mktemp("blue")
    release = {"mlflow_version": OLD, "mlflow_requirements_file": str(LOCK), "mlflow_minimum_version": "2.22.0"}
    made = deployment(folder, red.project, "blue", BLUE_RANGE, **release)
    with untouched(red):
        made.playbook("site.yml", log="site")
    return made


@pytest.fixture(scope="module")
def data(blue: Deployment) -> Data:
    """Create rows in every table, runs and artifacts before the upgrade."""
    with client_of(blue) as client:
        return make(blue, client)


def destroy(made: Deployment) -> None:
    """Remove a deployment with its data."""
    confirm = f"infrastructure_destroy_confirm={made.project}/{made.name}"
    made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


def resources(made: Deployment) -> dict[str, Any]:
    """Return all resources of a deployment as Google's APIs return them, without the metadata that its VM writes."""
    project = made.project
    instance = f"v1/projects/{project}/instances/{made.name}-database"
    paths = [
        *(("compute", f"projects/{project}/aggregated/{kind}") for kind in ("instances", "addresses", "subnetworks")),
        *(("compute", f"projects/{project}/global/{kind}") for kind in ("networks", "firewalls", "addresses")),
        *(("sql", f"{instance}{more}") for more in ("", "/databases", "/users", "/backupRuns")),
        ("secretmanager", f"v1/projects/{project}/secrets"),
        *(("storage", f"b/{project}-{bucket}") for bucket in (f"{made.name}-artifacts", f"{made.name}-backups")),
    ]
    found = {f"{api} {path}": made.call("GET", api, path) for api, path in paths}
    found["policy"] = made.call("POST", "cloudresourcemanager", f"v3/projects/{project}:getIamPolicy")["bindings"]
    answer: dict[str, Any] = own(found, made.name)
    return answer


def own(value: Any, name: str) -> Any:
    """Return the parts of an answer of a list that belong to a deployment."""
    if isinstance(value, dict):
        return {key: own(each, name) for key, each in value.items() if key not in ("etag", "totalSize")}
    if isinstance(value, list):
        return [own(each, name) for each in value if f"{name}-" in json.dumps(each)]
    return value


@contextmanager
def untouched(made: Deployment) -> Iterator[None]:
    """Assert that the block changes no resource of a deployment, and that no request to its server fails."""
    before = resources(made)
    with background("probe", Target(made.url, made.ca, made.admin[1]), 1800) as probe:
        yield
        report = probe.report()
    (made.artifacts / "probe.log").open("a").write(json.dumps(report) + "\n")
    assert report["failed"] == 0, report
    assert report["requests"] > 100, report
    assert resources(made) == before


def serving(made: Deployment) -> str:
    """Return the version of the server, requested from outside."""
    answer = requests.get(f"{made.url}/version", auth=made.admin, verify=str(made.ca), timeout=30)
    assert answer.ok, answer.text
    return answer.text.strip()


def test_a_second_run_of_each_changes_nothing(red: Deployment, blue: Deployment) -> None:
    for made in (red, blue):
        assert set(changes(made.playbook("site.yml", log="site-again").stdout).values()) == {0}
    assert (serving(red), serving(blue)) == (NEW, OLD)


def test_an_upgrade_leaves_the_other_deployment_untouched(red: Deployment, blue: Deployment, data: Data) -> None:
    assert blue.inventory
    write_variables(blue.inventory, deployment_name="blue", infrastructure_subnetwork_range=BLUE_RANGE)
    with untouched(red):
        blue.playbook("playbooks/upgrade.yml", "-e", "upgrade_watch_seconds=5", log="upgrade")
    assert serving(blue) == NEW
    with client_of(blue) as client:
        assert data.differences(blue, client) == {}


@pytest.fixture(scope="module")
def second(blue: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return the upgraded deployment as seen from a control node with an empty home directory."""
    home = tmp_path_factory.mktemp("home")
    environment = local_cloud_environment()
    artifacts = blue.artifacts / "second"
    made = Deployment(blue.project, artifacts, {}, environment, blue.name, blue.inventory)
    del made.environment["MLFLOW_GCP_STATE_DIRECTORY"]
    made.environment.pop("XDG_STATE_HOME", None)
    made.environment["HOME"] = str(home)
    made.state = home / ".local/state/mlflow-gcp" / f"{blue.project}-{blue.name}"
    return made


def test_two_control_nodes_at_once_one_is_refused(blue: Deployment, second: Deployment) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(made.playbook, "site.yml", check=False, log="at-once") for made in (blue, second)]
        done = sorted((run.result() for run in runs), key=lambda run: run.returncode)
    output = " ".join(done[1].stdout.split())
    assert done[0].returncode == 0, done[0].stdout[-3000:]
    assert done[1].returncode != 0
    assert re.search(rf"Another run works on {blue.project}/blue: process \d+ of \S+ .*started at 20", output), output


def test_a_second_control_node_takes_over_after_the_upgrade(blue: Deployment, second: Deployment) -> None:
    # A run of the second node may have won before. Its files are lost now, and the VM has the first node's key again.
    shutil.rmtree(second.state, ignore_errors=True)
    blue.playbook("site.yml", log="first-again")
    output = second.playbook("site.yml", log="taken-over").stdout
    assert set(CHANGED.findall(output)) - FILES == {"Create the VM"}, CHANGED.findall(output)
    assert serving(blue) == NEW
    assert set(changes(second.playbook("site.yml", log="taken-over-again").stdout).values()) == {0}


@pytest.mark.parametrize("playbook", ["backup", "rotate"])
def test_day_two_leaves_the_other_deployment_untouched(red: Deployment, second: Deployment, playbook: str) -> None:
    """The former control node cannot log in to the VM until it runs site.yml again."""
    with untouched(red):
        second.playbook(f"playbooks/{playbook}.yml", log=playbook)


@pytest.fixture(scope="module")
def elsewhere(local_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield a deployment in another project."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = deployment(tmp_path_factory.mktemp("elsewhere"), project, "green", "10.162.0.0/20")
    made.create_project()
    made.playbook("site.yml", log="site")
    yield made
    destroy(made)


def test_a_backup_is_restored_in_another_project(blue: Deployment, data: Data, elsewhere: Deployment) -> None:
    """Restore with the playbook alone. Each deployment keeps its administrator password."""
    # The new deployment has no data to lose, so the restore makes no backup first.
    asked = [f"backup_restore_from={blue.project}/blue", "backup_restore_backup_first=false"]
    asked += [f"backup_restore_confirm={elsewhere.project}/green"]
    options = [word for each in asked for word in ("-e", each)]
    output = " ".join(elsewhere.playbook("playbooks/restore.yml", *options, log="restore").stdout.split())
    assert f"{elsewhere.project}/green has the data of" in output, output[-3000:]
    assert re.search(r"\d+ rows in (\d+) tables, \1 tables equal to the backup", output), output[-3000:]
    restored = re.search(r"(\d+) artifacts of [\d.]+ \w+ restored", output)
    assert restored, output[-3000:]
    assert int(restored[1]) >= sum(len(run["artifacts"]) for run in data.runs.values())
    assert serving(elsewhere) == NEW
    with client_of(elsewhere) as client:
        assert data.differences(elsewhere, client) == {}
        client.log_metric(client.create_run("0").info.run_id, "after", 1)
    path = "/api/2.0/mlflow/users/get?username=admin"
    answers = [
        requests.get(each.url + path, auth=who.admin, verify=str(each.ca), timeout=30).status_code
        for each in (elsewhere, blue)
        for who in (elsewhere, blue)
    ]
    assert answers == [200, 401, 401, 200]
    plan = elsewhere.playbook("playbooks/provision.yml", "--check", log="after-restore").stdout
    assert set(changes(plan).values()) == {0}, plan[-3000:]


def test_a_destroy_leaves_the_other_deployment_untouched(red: Deployment, second: Deployment) -> None:
    with untouched(red):
        destroy(second)
    left = red.call("GET", "compute", f"projects/{red.project}/aggregated/instances")["items"].values()
    assert [vm["name"] for scope in left for vm in scope.get("instances", ())] == ["red-server"]
    assert set(changes(red.playbook("site.yml", log="site-last").stdout).values()) == {0}
