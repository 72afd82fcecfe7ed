# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The modules for Cloud DNS, and the record of the host name of a deployment in a zone of another project."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.localcloud.harness import Local, Session
from tests.localcloud.playbooks.playbook import RECAP, REPOSITORY, Door, Playbook
from tests.localcloud.test_clients import Gcloud

ZONES = "/dns/v1/projects/mlflow-local/managedZones"
RECORD = f"{ZONES}/example-test/rrsets/mlflow.example.test./A"
ZONE_TASK = {"name": "example-test", "dns_name": "example.test"}
RECORD_TASK = {"zone": "example-test", "name": "MLflow.example.test", "type": "A"}
WANTED = {"ttl": 300, "rrdatas": ["198.51.100.7"]}
OWNER = "dns-owner"
ADDRESSES = "/compute/v1/projects/mlflow-local/regions/europe-west1/addresses"
RRSETS = f"/dns/v1/projects/{OWNER}/managedZones/example-test/rrsets"
ERROR = re.compile(r"^\[ERROR\]: (.*)$", re.MULTILINE)
# Role variables of a deployment with a name in the zone.
SETTINGS = {"deployment_hostname": "mlflow.example.test", "dns_managed_zone": "example-test", "dns_project": OWNER}
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(playbook: Playbook, tmp_path: pathlib.Path) -> Run:
    """Return a function that runs tasks and returns the number of changes and the output in one line."""
    file = tmp_path / "tasks.yml"

    def run_tasks(tasks: list[dict[str, Any]], *arguments: str, fails: bool = False) -> tuple[int, str]:
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        file.write_text(yaml.safe_dump([play]))
        command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(file), *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=playbook.environment, capture_output=True, text=True, timeout=300
        )
        recap = RECAP.search(done.stdout)
        assert recap, done.stdout + done.stderr
        assert (done.returncode != 0) is fails, done.stdout
        return int(recap[2]), " ".join((done.stdout + done.stderr).split())

    return run_tasks


def test_a_record_is_created_put_back_and_deleted(empty: Local, run: Run) -> None:
    empty.enable("dns")
    session = empty.session()

    def changed(*arguments: str, absent: bool = False) -> int:
        common = {"project": "mlflow-local", "state": "absent" if absent else "present"}
        tasks = [
            {"mlops.mlflow_gcp.gcp_dns_zone": common | ZONE_TASK},
            {"mlops.mlflow_gcp.gcp_dns_record": common | RECORD_TASK | ({} if absent else WANTED)},
        ]
        return run(tasks[::-1] if absent else tasks, *arguments)[0]

    assert changed("--check", "--diff") == 2
    assert session.call("GET", ZONES).get("managedZones", []) == []
    assert changed() == 2
    assert changed() == 0
    session.call("PATCH", RECORD, data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))
    assert changed("--diff") == 1
    found = session.call("GET", RECORD)
    assert {name: found[name] for name in WANTED} == WANTED
    assert changed(absent=True) == 2
    assert session.call("GET", ZONES).get("managedZones", []) == []


@pytest.fixture
def zone(empty: Local) -> Session:
    """Create a managed zone in another project; return a session."""
    session, manager = empty.session(), "cloudresourcemanager"
    empty.enable(manager)
    session.call("POST", f"/{manager}/v3/projects", json={"projectId": OWNER})
    empty.cloud.projects.disable("mlflow-local", f"{manager}.googleapis.com")
    empty.enable("dns", project=OWNER)
    body = {"name": "example-test", "dnsName": "example.test.", "description": "test"}
    session.call("POST", f"/dns/v1/projects/{OWNER}/managedZones", json=body)
    return session


def record(session: Session, name: str = "mlflow") -> list[str]:
    """Return the data of the A record of a name in the zone."""
    found = session.call("GET", f"{RRSETS}?name={name}.example.test.&type=A").get("rrsets", [])
    return [data for each in found for data in each["rrdatas"]]


def point_elsewhere(session: Session) -> None:
    """Change the record of the deployment."""
    session.call("PATCH", f"{RRSETS}/mlflow.example.test./A", data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))


def role(tasks_from: str = "main", **variables: str) -> dict[str, Any]:
    """Return the task that runs an entry point of the role."""
    include = {"name": "mlops.mlflow_gcp.dns", "tasks_from": tasks_from}
    return {"ansible.builtin.include_role": include, "vars": variables}


@pytest.fixture
def deployment(empty: Local, zone: Session) -> tuple[str, list[dict[str, Any]]]:
    """Create the resources of the role. Return the static address, and the tasks that describe the deployment."""
    empty.enable("compute")
    zone.call("POST", ADDRESSES, json={"name": "mlflow-address"})
    zone.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "mlflow-local-mlflow-backups"})
    include = {"name": "mlops.mlflow_gcp.deployment", "tasks_from": "lock"}
    described = [
        {"ansible.builtin.import_role": {"name": "mlops.mlflow_gcp.deployment"}},
        {"ansible.builtin.include_role": include},
    ]
    return zone.call("GET", f"{ADDRESSES}/mlflow-address")["address"], described


def extra(**settings: object) -> tuple[str, str]:
    """Return the arguments with role variables."""
    return "-e", json.dumps(SETTINGS | settings)


def test_the_role(zone: Session, run: Run, deployment: tuple[str, list[dict[str, Any]]]) -> None:
    address, described = deployment
    write = [*described, role("validate"), role(dns_address=address)]
    changed, said = run([*described, role(dns_address=address)], *extra(dns_managed_zone=""))
    assert changed == 0
    assert f"name mlflow.example.test, type A, address {address}" in said
    assert record(zone) == []

    changed, said = run(write, *extra())
    assert changed == 2  # with the object that remembers the record
    assert "gcloud dns managed-zones describe example-test" in said
    assert record(zone) == [address]
    assert run(write, *extra())[0] == 0

    point_elsewhere(zone)
    assert run(write, "--check", "--diff", *extra())[0] == 1
    assert record(zone) == ["192.0.2.1"]
    assert run(write, "--diff", *extra())[0] == 1
    assert record(zone) == [address]

    # The former record is deleted.
    assert run(write, *extra(deployment_hostname="runs.example.test"))[0] == 3
    assert (record(zone), record(zone, "runs")) == ([], [address])
    assert run([*described, role("destroy")], *extra())[0] == 1
    assert record(zone, "runs") == []


def test_a_record_that_the_role_cannot_judge_is_reported(
    zone: Session, run: Run, deployment: tuple[str, list[dict[str, Any]]]
) -> None:
    """Clients use the record of the former zone until the parent zone refers to the new one."""
    address, described = deployment
    body = {"name": "example-new", "dnsName": "example.test.", "description": "test"}
    zone.call("POST", f"/dns/v1/projects/{OWNER}/managedZones", json=body)
    write = [*described, role("validate"), role(dns_address=address)]
    assert run(write, *extra())[0] == 2
    moved = extra(dns_managed_zone="example-new")
    changed, said = run(write, *moved)
    assert changed == 2
    assert f"record-sets delete mlflow.example.test. --type=A --zone=example-test --project={OWNER}" in said
    assert record(zone) == [address]
    assert run(write, *moved)[0] == 0

    zone.call("DELETE", f"{ADDRESSES}/mlflow-address")
    changed, said = run([*described, role("destroy")], *moved)
    assert changed == 0
    assert "was not deleted, because the static address mlflow-address does not exist" in said
    assert f"record-sets delete mlflow.example.test. --type=A --zone=example-new --project={OWNER}" in said


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
def test_gcloud_sees_and_changes_the_record(
    empty: Local, tmp_path: pathlib.Path, run: Run, deployment: tuple[str, list[dict[str, Any]]]
) -> None:
    address, described = deployment
    gcloud = Gcloud(empty, tmp_path / "gcloud")
    where = ("--zone=example-test", f"--project={OWNER}")
    one = ("mlflow.example.test.", "--type=A", *where)

    def write() -> int:
        return run([*described, role("validate"), role(dns_address=address)], *extra())[0]

    write()
    (found,) = [each for each in gcloud("dns", "record-sets", "list", *where) if each["type"] == "A"]
    assert (found["name"], found["ttl"], found["rrdatas"]) == ("mlflow.example.test.", 300, [address])
    gcloud("dns", "record-sets", "update", *one, "--ttl=60", "--rrdatas=192.0.2.1")
    assert write() == 1
    found = gcloud("dns", "record-sets", "describe", *one)
    assert (found["ttl"], found["rrdatas"]) == (300, [address])
    gcloud("dns", "record-sets", "delete", *one)
    assert write() == 1


def test_a_deletion_keeps_the_record_of_another_server(
    zone: Session, run: Run, deployment: tuple[str, list[dict[str, Any]]]
) -> None:
    address, described = deployment
    run([*described, role("validate"), role(dns_address=address)], *extra())
    point_elsewhere(zone)
    changed, said = run([*described, role("destroy")], *extra())
    assert changed == 0
    assert "is kept, because it points to 192.0.2.1" in said
    assert record(zone) == ["192.0.2.1"]


def test_a_deletion_goes_on_without_a_role_on_the_zone(
    empty: Local, zone: Session, run: Run, deployment: tuple[str, list[dict[str, Any]]]
) -> None:
    address, described = deployment
    run([*described, role("validate"), role(dns_address=address)], *extra())
    forbid(empty)
    changed, said = run([*described, role("destroy")], *extra())
    assert changed == 0
    assert "gcloud dns record-sets delete mlflow.example.test. --type=A --zone=example-test" in said


def forbid(local: Local) -> None:
    """Remove all roles on the project of the zone."""
    project = f"//cloudresourcemanager.googleapis.com/projects/{OWNER}"
    local.cloud.permissions.set_policy(project, local.cloud.permissions.policy(project, 3) | {"bindings": []})


def refused(playbook: Playbook, door: Door, *arguments: str, changing: int = 0) -> str:
    """Run site.yml, which must fail before it changes anything; return its message."""
    assert playbook.run(*arguments, playbook="site") == 2, playbook.output[-5000:]
    (error,) = ERROR.findall(playbook.output)
    assert len(door.changing) == changing
    assert not playbook.state.exists()
    return str(error)


def test_a_record_of_another_owner(zone: Session, playbook: Playbook, door: Door) -> None:
    zone.call("POST", RRSETS, json={"name": "mlflow.example.test.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]})
    said = refused(playbook, door, *extra())
    assert "type A in managed zone example-test that this deployment did not write: 192.0.2.1." in said
    assert f"--type=A --zone=example-test --project={OWNER}" in said


@pytest.mark.usefixtures("zone")
def test_a_zone_of_a_project_without_a_role(empty: Local, playbook: Playbook, door: Door) -> None:
    forbid(empty)
    assert "grant this account the role roles/dns.admin on this zone" in refused(playbook, door, *extra())


@pytest.mark.usefixtures("zone")
def test_a_zone_that_only_an_enabled_api_can_tell(empty: Local, playbook: Playbook, door: Door) -> None:
    """The run enables the API in the project of the zone, and changes nothing else than APIs."""
    empty.cloud.projects.disable(OWNER, "dns.googleapis.com")
    said = refused(playbook, door, *extra(dns_managed_zone="example"), changing=2)
    assert f"dns_managed_zone is 'example', and project {OWNER} (dns_project) has no such managed zone" in said
    assert [call.rpartition("/")[2] for call in door.changing] == ["services:batchEnable"] * 2
    assert OWNER in door.changing[1]
