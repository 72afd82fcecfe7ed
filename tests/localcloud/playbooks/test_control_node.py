# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""playbooks/control_node.yml: a deployer with the documented roles creates and removes the VM that runs the timers.

Only the resources: `--limit localhost` skips the play on the VM, since a cloud in memory runs no VM.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.localcloud.harness import PLATFORM, Local
from tests.localcloud.playbooks.playbook import REPOSITORY, Door, Playbook

ROLES = yaml.safe_load((REPOSITORY / "roles/control_node/defaults/main.yml").read_text())["control_node_roles"]
NODE = "mlflow-control@mlflow-local.iam.gserviceaccount.com"
COMPUTE = "/compute/v1/projects/mlflow-local"
REGION = "europe-west1"
ABSENT = ("-e", "control_node_state=absent")
# Without an explicit localhost, --limit finds no host.
LIMIT = ("-i", "localhost,", "--limit", "localhost", "-e", f"ansible_python_interpreter={sys.executable}")
DESTROY = ("-e", "infrastructure_destroy_confirm=mlflow-local/mlflow")


@dataclass
class World:
    """A local cloud and the playbooks, run by a service account that has only the roles of a deployer."""

    local: Local
    playbook: Playbook

    def become(self, email: str) -> None:
        token = self.local.cloud.auth.issue_access_token(email, [PLATFORM]).token
        self.playbook.environment |= {"GCP_AUTH_KIND": "access_token", "CLOUDSDK_AUTH_ACCESS_TOKEN": token}

    def run(self, *arguments: str, playbook: str = "control_node") -> int:
        """Run a playbook, assert success, return the number of changed tasks."""
        assert self.playbook.run(*LIMIT, *arguments, playbook=playbook) == 0, self.output
        return self.playbook.changed()

    @property
    def output(self) -> str:
        return self.playbook.output[-5000:]

    def get(self, path: str) -> Any:
        return self.local.session().call("GET", f"{COMPUTE}/{path}")

    def names(self, path: str) -> set[str]:
        return {each["name"] for each in self.get(path).get("items", [])}

    def roles(self) -> set[str]:
        """Return the roles of the control node on the project."""
        resource = "//cloudresourcemanager.googleapis.com/projects/mlflow-local"
        bindings = self.local.cloud.permissions.policy(resource, 3)["bindings"]
        return {each["role"] for each in bindings if f"serviceAccount:{NODE}" in each["members"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a deployment with a control node, after a check that its plan changes nothing."""
    folder = tmp_path_factory.mktemp("control")
    local = Local(folder / "home", door=Door())
    local.start()
    try:
        world = World(local, Playbook(local, Door(), folder))
        world.become(local.account("deployer", *ROLES))
        world.run(playbook="provision")
        before = world.names("zones/europe-west1-b/instances")
        assert world.run("--check", "--diff") > 0
        assert world.names("zones/europe-west1-b/instances") == before
        assert world.run() > 0
        yield world
    finally:
        local.stop()


def test_the_documented_roles_are_those_of_the_control_node() -> None:
    text = (REPOSITORY / "docs/google-cloud.md").read_text()
    table = text[text.index("You need the role Owner") : text.index("Policies of an organisation")]
    assert sorted(re.findall(r"`(roles/[\w.]+)`", table)) == ROLES


def test_a_second_run_changes_nothing_and_the_identity_of_the_vm_suffices_for_it(world: World) -> None:
    world.become(NODE)
    assert world.run() == 0


def test_the_vm_has_an_identity_of_its_own_and_is_no_server(world: World) -> None:
    vm = world.get("zones/europe-west1-b/instances/mlflow-control")
    assert vm["machineType"].endswith("/e2-small")
    assert [account["email"] for account in vm["serviceAccounts"]] == [NODE]
    assert vm["labels"] == {"app": "mlflow-control", "mlflow-deployment": "mlflow"}, "app=mlflow is a server"
    assert world.roles() == set(ROLES)


def test_ssh_is_open_from_the_deployer_and_on_to_the_server_only(world: World) -> None:
    vm = world.get("zones/europe-west1-b/instances/mlflow-control")
    address = vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    rules = {each["name"]: each for each in world.get("global/firewalls")["items"]}
    into, onward = rules["mlflow-control-allow-ssh"], rules["mlflow-control-allow-ssh-to-server"]
    assert (into["sourceRanges"], into["targetTags"]) == (["198.51.100.1/32"], ["mlflow-control"])
    assert (onward["sourceRanges"], onward["targetTags"]) == ([f"{address}/32"], ["mlflow-server"])
    for rule in (into, onward):
        assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    known = (world.playbook.state / "mlflow-local-mlflow" / "ssh" / "known_hosts_control_node").read_text()
    assert known.startswith(f"{address} ")


def test_a_deployment_is_not_destroyed_under_its_control_node(world: World) -> None:
    assert world.playbook.run(*DESTROY, "-e", "infrastructure_destroy_data=true", playbook="destroy") != 0
    assert "playbooks/control_node.yml -e control_node_state=absent" in " ".join(world.playbook.output.split())
    assert "mlflow-server" in world.names("zones/europe-west1-b/instances")


def test_it_goes_without_a_trace(world: World) -> None:
    world.become("deployer@mlflow-local.iam.gserviceaccount.com")
    assert world.run(*ABSENT) > 0
    left = [
        world.names(path)
        for path in ("zones/europe-west1-b/instances", "global/firewalls", f"regions/{REGION}/addresses")
    ]
    assert [name for names in left for name in names if "control" in name] == []
    assert [len(names) > 0 for names in left] == [True, True, True], "the server has kept its own"
    assert world.roles() == set()
    assert world.run(*ABSENT) == 0
