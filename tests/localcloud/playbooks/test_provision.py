# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The first run of playbooks/provision.yml: order of calls, messages, and removal of all resources."""

from __future__ import annotations

import base64
import json
import pathlib
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECORDS, Door, Playbook

COMPUTE = "/compute/v1/projects/mlflow-local"
SQL = "/sqladmin/v1/projects/mlflow-local"
NAMES = ("mlflow-admin-password", "mlflow-flask-secret-key", "mlflow-crypto-kek-passphrase")
INSTANCES = "/compute/v1/projects/mlflow-local/zones/europe-west1-b/instances"
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"


@dataclass
class Run:
    """A successful run."""

    local: Local
    playbook: Playbook
    calls: list[str]
    output: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Yield the first run in a new project, with the verbosity that users choose to find an error."""
    folder = tmp_path_factory.mktemp("provision")
    local = Local(folder / "home")
    local.start()
    try:
        playbook = Playbook(local, Door(), folder)
        assert playbook.run("-vvv", "--diff") == 0, playbook.output[-5000:]
        calls = [f"{call['verb']} {call['path']}" for call in local.cloud.calls.since()]
        yield Run(local, playbook, calls, playbook.output, secrets(local))
    finally:
        local.stop()


def secrets(local: Local) -> dict[str, str]:
    """Return the value of each secret."""
    session = local.session()
    names = [pathlib.PurePath(each["name"]).name for each in session.call("GET", SECRETS)["secrets"]]
    answers = {name: session.call("GET", f"{SECRETS}/{name}/versions/latest:access") for name in names}
    return {name: base64.b64decode(answer["payload"]["data"]).decode() for name, answer in answers.items()}


def changing(first: Run) -> list[str]:
    """Return the calls that create resources."""
    connected = "PATCH /servicenetworking/"
    return [c for c in first.calls if c.startswith(("POST", connected)) and not c.endswith(("/token", "/wait"))]


def test_the_database_is_started_as_soon_as_the_network_can_take_it(first: Run) -> None:
    made = changing(first)
    # Created after the cheap resources that an organization policy may refuse: identity, bucket, secrets.
    network = made.index(f"POST {COMPUTE}/global/networks")
    assert made[0] == "POST /serviceusage/v1/projects/mlflow-local/services:batchEnable"
    early = ("/iam/", "/storage/", "/upload/storage/", "/secretmanager/", "/cloudresourcemanager/")
    assert all(call.removeprefix("POST ").startswith(early) for call in made[1:network])
    assert made[network : made.index(f"POST {SQL}/instances")] == [
        f"POST {COMPUTE}/global/networks",
        # Created before Google chooses the range of the private services access, which must not be the subnetwork's.
        f"POST {COMPUTE}/regions/europe-west1/subnetworks",
        f"POST {COMPUTE}/global/addresses",
        "PATCH /servicenetworking/v1/services/servicenetworking.googleapis.com/connections/-",
    ]


def test_only_what_needs_the_database_waits_for_it(first: Run) -> None:
    made, machine = changing(first), f"POST {COMPUTE}/zones/europe-west1-b/instances"
    assert made[made.index(machine) + 1 :] == [
        f"POST {SQL}/instances/mlflow-database/databases",
        f"POST {SQL}/instances/mlflow-database/databases",
        f"POST {SECRETS}/mlflow-database-ca:addVersion",
        f"POST {SQL}/instances/mlflow-database/users",
        f"POST {SECRETS}/mlflow-database-uri:addVersion",
    ]
    waits = [call for call in first.calls[: first.calls.index(machine)] if call.startswith(f"GET {SQL}/operations")]
    assert waits == []


def test_the_user_of_the_database_is_named(first: Run) -> None:
    _, _, said = first.output.partition("\n+++ after: user mlflow of Cloud SQL instance mlflow-database\n")
    assert "password: (hidden)" in said.partition("\nTASK ")[0]


def test_no_secret_is_shown(first: Run) -> None:
    passwords = {name: first.secrets[name] for name in NAMES}
    passwords["mlflow-database-uri"] = str(urllib.parse.urlsplit(first.secrets["mlflow-database-uri"]).password)
    assert {name: len(password) for name, password in passwords.items()} == dict.fromkeys(passwords, 40)
    assert [name for name, password in passwords.items() if password in first.output] == []
    webhook_key = first.secrets["mlflow-webhook-encryption-key"]
    assert len(base64.urlsafe_b64decode(webhook_key)) == 32
    assert webhook_key not in first.output
    assert all("PRIVATE KEY" in first.secrets[name] for name in ("mlflow-ca", "mlflow-certificate"))
    assert "PRIVATE KEY" not in first.output
    # The output contains the modules' arguments.
    assert "password: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in first.output


def test_the_host_keys_of_the_new_vm_are_trusted(first: Run) -> None:
    vm = first.local.session().call("GET", f"{INSTANCES}/mlflow-server")
    address = vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    trusted = (first.playbook.state / "mlflow-local-mlflow" / "ssh" / "known_hosts").read_text()
    assert f"{address} ssh-ed25519 " in trusted


def test_what_a_killed_drill_left_goes_with_the_deployment(first: Run) -> None:
    """The remaining clone uses the network; its name is only in a record, which is removed, too."""
    playbook, session = first.playbook, first.local.session()
    instances = "/sqladmin/v1/projects/mlflow-local/instances"
    network = "projects/mlflow-local/global/networks/mlflow-network"
    addresses = {"ipv4Enabled": False, "privateNetwork": network}
    settings = {"tier": "db-g1-small", "edition": "ENTERPRISE", "ipConfiguration": addresses}
    left = {"region": "europe-west1", "databaseVersion": "POSTGRES_17", "settings": settings}
    session.call("POST", instances, json={"name": "mlflow-drill-left"} | left)
    session.call("POST", instances, json={"name": "mlflow-rehearsal-left"} | left)
    session.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "mlflow-local-mlflow-drill-left"})
    drill = {"instance": "mlflow-drill-left", "bucket": "mlflow-local-mlflow-drill-left"}
    for name, record in (("drill", drill), ("rehearsal", {"instance": "mlflow-rehearsal-left"})):
        session.call("POST", f"{RECORDS}temporary-{name}.json", data=json.dumps(record))
    # The password of a user who is not in mlflow_users anymore, and a secret of another deployment.
    for name, deployment in (("mlflow-user-gone", "mlflow"), ("mlflow-user-ca", "mlflow-user")):
        secret = {"replication": {"automatic": {}}, "labels": {"mlflow-deployment": deployment}}
        session.call("POST", f"{SECRETS}?secretId={name}", json=secret)
    confirmed = ["-e", "infrastructure_destroy_confirm=mlflow-local/mlflow", "-e", "infrastructure_destroy_data=true"]
    assert playbook.run(*confirmed, playbook="destroy") == 0, playbook.output[-5000:]
    assert playbook.changed() > 0
    assert "items" not in session.call("GET", instances)
    assert "items" not in session.call("GET", "/storage/v1/b?project=mlflow-local")
    names = [pathlib.PurePath(secret["name"]).name for secret in session.call("GET", SECRETS)["secrets"]]
    assert names == ["mlflow-user-ca"]
    assert not (playbook.state / "mlflow-local-mlflow").exists()
    assert playbook.run(*confirmed, playbook="destroy") == 0, playbook.output[-5000:]
    assert playbook.changed() == 0
