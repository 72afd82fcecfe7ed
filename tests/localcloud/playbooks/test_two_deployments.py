# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Two deployments in one project: the playbooks change only the VM of the deployment that the variables name.

The plan of a new deployment connected to the VM of the other deployment, which has the same label.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import Door, Playbook

BLUE = ("-e", "deployment_name=blue", "-e", "infrastructure_subnetwork_range=10.144.0.0/20")
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
    log: pathlib.Path

    def run(self, playbook: str, *arguments: str) -> int:
        self.log.write_text("")
        return self.playbook.run(*arguments, playbook=playbook)

    @property
    def connections(self) -> str:
        return self.log.read_text()

    @property
    def hosts(self) -> set[str]:
        """Return the hosts of the last run."""
        return set(RECAP.findall(self.playbook.output))

    def address(self, name: str) -> str:
        path = f"/compute/v1/projects/mlflow-local/zones/europe-west1-b/instances/{name}"
        vm = self.local.session().call("GET", path)
        return str(vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a project with the deployment `mlflow`."""
    folder = tmp_path_factory.mktemp("two")
    local = Local(folder / "home", door=Door())
    local.start()
    try:
        world = World(local, Playbook(local, Door(), folder), folder / "ssh.log")
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
    """Add a second deployment, `blue`, to ``one``."""
    assert one.run("provision", *BLUE) == 0, one.playbook.output[-5000:]
    return one


@pytest.mark.parametrize("playbook", ["site", "configure"])
def test_the_plan_of_a_new_deployment_names_nothing_of_the_other(one: World, playbook: str) -> None:
    assert one.run(playbook, "--check", "--diff", *BLUE) == 0, one.playbook.output[-5000:]
    output = one.playbook.output
    assert "no running VM mlflow-local/europe-west1-b/blue-server of deployment mlflow-local/blue" in " ".join(
        output.split()
    )
    assert "mlflow-server" not in output
    assert one.address("mlflow-server") not in output
    assert one.hosts == {"localhost"}
    assert one.connections == ""


@pytest.mark.parametrize(
    "playbook", ["upgrade", "rotate", "gc", "rollback", "backup", "restore", "restore_drill", "doctor"]
)
def test_no_playbook_of_a_missing_deployment_touches_the_other(one: World, playbook: str) -> None:
    options = ["-e", "doctor_skip=drift"] if playbook == "doctor" else []
    assert one.run(playbook, "--check", *BLUE, *options) != 0
    assert "blue" in one.playbook.output
    assert one.hosts == {"localhost"}
    assert one.connections == ""


@pytest.mark.parametrize(
    ("playbook", "name"),
    [(each, "blue") for each in ("configure", "upgrade", "rotate", "gc", "rollback", "backup", "doctor")]
    + [("configure", "mlflow")],
)
def test_each_playbook_works_on_its_own_vm(two: World, playbook: str, name: str) -> None:
    options = ["-e", f"deployment_name={name}", "-e", "doctor_skip=drift"]
    two.run(playbook, "--check", *options)  # ends at an unreachable VM
    other = {"blue": "mlflow", "mlflow": "blue"}[name]
    assert two.address(f"{name}-server") in two.connections, two.playbook.output[-3000:]
    assert two.address(f"{other}-server") not in two.connections
    assert two.hosts == {"localhost", f"{name}-server"} - ({f"{name}-server"} if playbook == "backup" else set())


def test_a_host_may_have_another_name_than_its_vm(two: World, tmp_path: pathlib.Path) -> None:
    """With unique host names in the inventory the playbooks find the VM by project, zone and name."""
    inventory = pathlib.Path(two.playbook.environment.get("ANSIBLE_INVENTORY", "inventory/mlflow.gcp.yml"))
    text = (pathlib.Path(__file__).parents[3] / inventory).read_text()
    (tmp_path / "mlflow.gcp.yml").write_text(f"{text}hostnames: [\"name ~ '.' ~ zone ~ '.' ~ project\"]\n")
    (tmp_path / "group_vars").symlink_to(pathlib.Path(__file__).parents[3] / "group_vars")
    two.run("configure", "--check", *BLUE, "-i", str(tmp_path / "mlflow.gcp.yml"))
    assert two.hosts == {"localhost", "blue-server.europe-west1-b.mlflow-local"}
    assert two.address("blue-server") in two.connections
    assert two.address("mlflow-server") not in two.connections
