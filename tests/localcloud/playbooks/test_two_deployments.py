# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Two deployments in one project, each with a directory of its own in inventory/: no run touches the other deployment.

The plan of a new deployment connected to the VM of the other deployment, which has the same label.
"""

from __future__ import annotations

import pathlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import REPOSITORY, Door, Playbook

SOURCE = REPOSITORY / "inventory" / "mlflow" / "mlflow.gcp.yml"
VARIABLES = """
deployment_name: blue
deployment_labels: {team: research}
infrastructure_subnetwork_range: 10.144.0.0/20
mlflow_roles: [{name: readers}]
mlflow_users: [{name: alice, roles: [readers], secret_accessors: ["user:alice@example.com"]}]
"""
RECAP = re.compile(r"^(\S+)\s+: ok=", re.MULTILINE)
SSH = """#!/bin/sh
[ "$1" = -V ] || echo "$@" >>"{log}"
exit 255
"""


@dataclass
class World:
    """A local cloud and the playbooks, with an `ssh` that records its arguments and does not connect."""

    local: Local
    playbook: Playbook
    door: Door
    folder: pathlib.Path

    def run(self, deployment: str, playbook: str, *arguments: str) -> int:
        self.log.write_text("")
        return self.playbook.run(*self.inventory(deployment), *arguments, playbook=playbook)

    def inventory(self, deployment: str) -> list[str]:
        """Return the arguments for the inventory. The deployment `mlflow` is the default of ansible.cfg."""
        return [] if deployment == "mlflow" else ["-i", str(self.folder / "inventory" / deployment)]

    @property
    def log(self) -> pathlib.Path:
        return self.folder / "ssh.log"

    @property
    def connections(self) -> str:
        return self.log.read_text()

    @property
    def hosts(self) -> set[str]:
        """Return the hosts of the last run."""
        return set(RECAP.findall(self.playbook.output))

    def get(self, path: str) -> Any:
        return self.local.session().call("GET", path)

    def address(self, name: str) -> str:
        vm = self.get(f"/compute/v1/projects/mlflow-local/zones/europe-west1-b/instances/{name}-server")
        return str(vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"])

    def changing(self, deployment: str) -> list[str]:
        """Return the changing calls of the last run for resources with the name of a deployment."""
        calls = [call.replace("mlflow-local", "") for call in self.door.changing]
        return [call for call in calls if f"{deployment}-" in call]

    def labels(self, name: str) -> dict[str, dict[str, str]]:
        """Return the labels of every resource of a deployment that can have labels."""
        compute = "/compute/v1/projects/mlflow-local"
        secrets = self.get("/secretmanager/v1/projects/mlflow-local/secrets")["secrets"]
        database = self.get(f"/sqladmin/v1/projects/mlflow-local/instances/{name}-database")
        resources = {
            "VM": self.get(f"{compute}/zones/europe-west1-b/instances/{name}-server"),
            "disk": self.get(f"{compute}/zones/europe-west1-b/disks/{name}-server"),
            "address": self.get(f"{compute}/regions/europe-west1/addresses/{name}-address"),
            "bucket": self.get(f"/storage/v1/b/mlflow-local-{name}-artifacts"),
            "backups bucket": self.get(f"/storage/v1/b/mlflow-local-{name}-backups"),
            **{each["name"]: each for each in secrets if f"/secrets/{name}-" in each["name"]},
        }
        labels = {title: resource.get("labels", {}) for title, resource in resources.items()}
        return labels | {"database": database["settings"].get("userLabels", {})}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a project with the deployment `mlflow`, and the inventory of a deployment `blue`."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "inventory" / "blue" / "group_vars").mkdir(parents=True)
    shutil.copy(SOURCE, folder / "inventory" / "blue")
    (folder / "inventory" / "blue" / "group_vars" / "all.yml").write_text(VARIABLES)
    door = Door()
    local = Local(folder / "home", door=door)
    local.start()
    try:
        world = World(local, Playbook(local, door, folder), door, folder)
        (folder / "bin").mkdir()
        (folder / "bin" / "ssh").write_text(SSH.format(log=world.log))
        (folder / "bin" / "ssh").chmod(0o755)
        world.playbook.environment["PATH"] = f"{folder / 'bin'}:{world.playbook.environment['PATH']}"
        world.playbook.to_the_end()
        yield world
    finally:
        local.stop()


@pytest.fixture(scope="module")
def two(one: World) -> World:
    """Add the second deployment, `blue`, to ``one``."""
    assert one.run("blue", "provision") == 0, one.playbook.output[-5000:]
    assert one.changing("blue") != []
    assert one.changing("mlflow") == []
    return one


def test_the_plan_of_a_new_deployment_names_nothing_of_the_other(one: World) -> None:
    assert one.run("blue", "site", "--check", "--diff") == 0, one.playbook.output[-5000:]
    output = one.playbook.output
    assert "no running VM mlflow-local/europe-west1-b/blue-server of deployment mlflow-local/blue" in " ".join(
        output.split()
    )
    # There is no server that has the users.
    assert "Users to create: alice." in output
    assert "+++ after: secret blue-user-alice" in output
    assert "for user:alice@example.com on secret blue-user-alice" in output
    assert "mlflow-server" not in output
    assert one.address("mlflow") not in output
    assert one.hosts == {"localhost"}
    assert one.connections == ""


# tests/unit/playbooks/test_structure.py proves that the other playbooks select the VM alike.
def test_no_playbook_of_a_missing_deployment_touches_the_other(one: World) -> None:
    assert one.run("blue", "upgrade", "--check") != 0
    assert "blue" in one.playbook.output
    assert one.hosts == {"localhost"}
    assert one.connections == ""


def test_a_playbook_works_on_its_own_vm(two: World) -> None:
    two.run("blue", "configure", "--check")  # ends at an unreachable VM
    assert two.address("blue") in two.connections, two.playbook.output[-3000:]
    assert two.address("mlflow") not in two.connections
    assert two.hosts == {"localhost", "blue-server"}


def test_a_host_may_have_another_name_than_its_vm(two: World) -> None:
    """With unique host names in the inventory the playbooks find the VM by project, zone and name."""
    named = two.folder / "inventory" / "named"
    shutil.copytree(two.folder / "inventory" / "blue", named)
    with (named / SOURCE.name).open("a") as source:
        source.write("hostnames: [\"name ~ '.' ~ zone ~ '.' ~ project\"]\n")
    two.run("named", "configure", "--check")
    assert two.hosts == {"localhost", "blue-server.europe-west1-b.mlflow-local"}
    assert two.address("blue") in two.connections
    assert two.address("mlflow") not in two.connections


def test_each_resource_has_the_label_of_its_deployment(two: World) -> None:
    for name, own in (("mlflow", {}), ("blue", {"team": "research"})):
        labels = two.labels(name)
        expected = {"app": "mlflow", "mlflow-deployment": name, **own}
        assert labels == dict.fromkeys(labels, expected)


def test_the_end_of_one_leaves_the_other(two: World) -> None:
    options = ["-e", "infrastructure_destroy_confirm=mlflow-local/blue", "-e", "infrastructure_destroy_data=true"]
    assert two.run("blue", "destroy", *options) == 0, two.playbook.output[-5000:]
    assert len(two.changing("blue")) > len(two.labels("mlflow"))
    assert two.changing("mlflow") == []
    assert two.run("mlflow", "provision", "--check", "--diff") == 0
    assert two.playbook.changed() == 0, two.playbook.output[-5000:]
