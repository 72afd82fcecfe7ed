# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The modules for Cloud DNS, and the record of the host name of a deployment in a zone of another project."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from tests.localcloud.harness import Local, Session
from tests.localcloud.playbooks.playbook import RECAP, REPOSITORY, Door, Playbook

ZONES = "/dns/v1/projects/mlflow-local/managedZones"
RECORD = f"{ZONES}/example-test/rrsets/mlflow.example.test./A"
ZONE_TASK = {"name": "example-test", "dns_name": "example.test"}
RECORD_TASK = {"zone": "example-test", "name": "MLflow.example.test", "type": "A"}
WANTED = {"ttl": 300, "rrdatas": ["198.51.100.7"]}
OWNER = "dns-owner"
ADDRESS = "/compute/v1/projects/mlflow-local/regions/europe-west1/addresses/mlflow-address"
RRSETS = f"/dns/v1/projects/{OWNER}/managedZones/example-test/rrsets"
ERROR = re.compile(r"^\[ERROR\]: (.*)$", re.MULTILINE)
DATA = {"infrastructure_destroy_confirm": "mlflow-local/mlflow", "infrastructure_destroy_data": True}


def changed(playbook: Playbook, file: pathlib.Path, *arguments: str, absent: bool = False) -> int:
    """Run the modules; return the number of changes."""
    common = {"project": "mlflow-local", "state": "absent" if absent else "present"}
    tasks = [
        {"mlops.mlflow_gcp.gcp_dns_zone": common | ZONE_TASK},
        {"mlops.mlflow_gcp.gcp_dns_record": common | RECORD_TASK | ({} if absent else WANTED)},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks[::-1] if absent else tasks}
    file.write_text(yaml.safe_dump([play]))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(file), *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=playbook.environment, capture_output=True, text=True, timeout=300
    )
    recap = RECAP.search(done.stdout)
    assert recap, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
    return int(recap[2])


def test_a_record_is_created_put_back_and_deleted(empty: Local, playbook: Playbook, tmp_path: pathlib.Path) -> None:
    empty.enable("dns")
    session, file = empty.session(), tmp_path / "dns.yml"
    assert changed(playbook, file, "--check", "--diff") == 2
    assert session.call("GET", ZONES).get("managedZones", []) == []
    assert changed(playbook, file) == 2
    assert changed(playbook, file) == 0
    session.call("PATCH", RECORD, data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))
    assert changed(playbook, file, "--diff") == 1
    found = session.call("GET", RECORD)
    assert {name: found[name] for name in WANTED} == WANTED
    assert changed(playbook, file, absent=True) == 2
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


def extra(**settings: object) -> tuple[str, str]:
    """Return the arguments with the role variables of a host name in the zone."""
    common = {"deployment_hostname": "mlflow.example.test", "dns_managed_zone": "example-test", "dns_project": OWNER}
    return "-e", json.dumps(common | settings)


def test_the_record_of_a_deployment(zone: Session, playbook: Playbook) -> None:
    """Without Cloud DNS the record is printed. With a zone it is planned, written, put back, moved and deleted."""
    playbook.to_the_end(*extra(dns_managed_zone=""))
    address = zone.call("GET", ADDRESS)["address"]
    said = " ".join(playbook.output.split())
    assert f"name mlflow.example.test, type A, address {address}" in said
    assert record(zone) == []

    playbook.to_the_end("--check", "--diff", *extra())
    title = "record set mlflow.example.test. of type A in managed zone example-test"
    assert f"+++ after: {title}" in playbook.output
    assert record(zone) == []

    assert playbook.to_the_end(*extra()) == 2  # with the object that remembers the record
    assert record(zone) == [address]
    assert "gcloud dns managed-zones describe example-test" in " ".join(playbook.output.split())
    assert playbook.to_the_end(*extra()) == 0

    zone.call("PATCH", f"{RRSETS}/mlflow.example.test./A", data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))
    assert playbook.to_the_end("--diff", *extra()) == 1
    assert record(zone) == [address]

    playbook.to_the_end(*extra(deployment_hostname="runs.example.test"))
    assert (record(zone), record(zone, "runs")) == ([], [address])

    playbook.to_the_end(*extra(**DATA), playbook="destroy")
    assert record(zone, "runs") == []


def test_a_deletion_keeps_the_record_of_somebody_else(zone: Session, playbook: Playbook) -> None:
    """The name was pointed to another server. The deletion ends although the zone cannot be changed."""
    playbook.to_the_end(*extra())
    zone.call("PATCH", f"{RRSETS}/mlflow.example.test./A", data=json.dumps({"ttl": 60, "rrdatas": ["192.0.2.1"]}))
    playbook.to_the_end(*extra(**DATA), playbook="destroy")
    assert "is kept, because it points to 192.0.2.1" in " ".join(playbook.output.split())
    assert record(zone) == ["192.0.2.1"]


def refused(playbook: Playbook, door: Door, *arguments: str, changing: int = 0) -> str:
    """Run site.yml, which must fail before it changes anything; return its message."""
    assert playbook.run(*arguments, playbook="site") == 2, playbook.output[-5000:]
    (error,) = ERROR.findall(playbook.output)
    assert len(door.changing) == changing
    assert not playbook.state.exists()
    return str(error)


FOREIGN = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "www.example.test."}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_record_of_somebody_else(zone: Session, playbook: Playbook, door: Door, kind: str) -> None:
    body = {"name": "mlflow.example.test.", "type": kind, "ttl": 60, "rrdatas": [FOREIGN[kind]]}
    zone.call("POST", RRSETS, json=body)
    said = refused(playbook, door, *extra())
    assert f"type {kind} in managed zone example-test that this deployment did not write: {FOREIGN[kind]}." in said
    assert f"--type={kind} --zone=example-test --project={OWNER}" in said


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dns_managed_zone": "example"}, f"dns_managed_zone is 'example', and project {OWNER} (dns_project) has no"),
        ({"deployment_hostname": "mlflow.example.com"}, "to a name that ends with .example.test"),
        ({"deployment_hostname": ""}, "deployment_hostname '' is no domain name"),
        ({"dns_managed_zone": "example.test"}, "dns_managed_zone is 'example.test'"),
    ],
)
def test_a_zone_that_cannot_hold_the_record(
    playbook: Playbook, door: Door, settings: dict[str, str], words: str
) -> None:
    assert words in refused(playbook, door, *extra(**settings))


@pytest.mark.usefixtures("zone")
def test_a_zone_of_a_project_without_a_role(empty: Local, playbook: Playbook, door: Door) -> None:
    project = f"//cloudresourcemanager.googleapis.com/projects/{OWNER}"
    policy = empty.cloud.permissions.policy(project, 3)
    empty.cloud.permissions.set_policy(project, policy | {"bindings": []})
    assert "grant this account the role roles/dns.admin on this zone" in refused(playbook, door, *extra())


@pytest.mark.usefixtures("zone")
def test_a_zone_that_only_an_enabled_api_can_tell(empty: Local, playbook: Playbook, door: Door) -> None:
    """The run enables the API in the project of the zone, and changes nothing else than APIs."""
    empty.cloud.projects.disable(OWNER, "dns.googleapis.com")
    said = refused(playbook, door, *extra(dns_managed_zone="example"), changing=2)
    assert "dns_managed_zone is 'example', and project" in said
    assert [call.rpartition("/")[2] for call in door.changing] == ["services:batchEnable"] * 2
    assert OWNER in door.changing[1]
