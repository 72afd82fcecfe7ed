# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The project in the README that uses the installed collection runs without a checkout of this repository."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import REPOSITORY, Door, Playbook

# A file of the project: its name at the start of a line, and the next block.
FILE = re.compile(r"^[^`\n]*`((?:site|inventory/[\w/.]+)\.yml)`[^`]*?\n\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Return the files of the project in the README."""
    section = (REPOSITORY / "README.md").read_text().partition("\n## Use as a collection\n")[2].partition("\n## ")[0]
    return dict(FILE.findall(section))


# Shows the connection to the VM without connecting.
CONNECTION = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: mlops.mlflow_gcp.deployment
    - ansible.builtin.include_role:
        name: mlops.mlflow_gcp.deployment
        tasks_from: inventory
- hosts: mlflow_deployment
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ ansible_user }} {{ ansible_host }} {{ ansible_ssh_private_key_file }} {{ ansible_ssh_common_args }}"
"""


class Consumer(Playbook):
    """A project with nothing but the files of the README, and a home directory with the installed collection."""

    def __init__(self, local: Local, door: Door, folder: pathlib.Path) -> None:
        super().__init__(local, door, folder)
        self.directory = folder / "project"
        for name, text in files().items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.environment |= {"HOME": str(folder / "home")}
        for name in ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME", "PYTHONPATH"):
            self.environment.pop(name, None)

    def path(self, playbook: str) -> str:
        """Return the argument as it is: a file of the project, or the name of a playbook of the collection."""
        return playbook

    def galaxy(self, *arguments: str, cwd: pathlib.Path | None = None) -> str:
        """Run `ansible-galaxy collection` and return its output."""
        command = [shutil.which("ansible-galaxy", path=self.environment["PATH"]) or "", "collection", *arguments]
        return subprocess.run(
            command, cwd=cwd or self.directory, env=self.environment, check=True, text=True, stdout=subprocess.PIPE
        ).stdout


@pytest.fixture
def consumer(empty: Local, door: Door, tmp_path: pathlib.Path) -> Consumer:
    """Return a project in an empty directory, with the collection installed from the built artifact."""
    project = Consumer(empty, door, tmp_path)
    project.galaxy("build", "--output-path", str(tmp_path), cwd=REPOSITORY)
    (artifact,) = tmp_path.glob("*.tar.gz")
    project.galaxy("install", str(artifact))
    return project


def test_the_project_of_the_readme_is_complete() -> None:
    project = {name: yaml.safe_load(text) for name, text in files().items()}
    assert set(project) == {"site.yml", "inventory/mlflow.gcp.yml", "inventory/group_vars/all.yml"}
    assert project["inventory/mlflow.gcp.yml"] == yaml.safe_load(
        (REPOSITORY / "inventory" / "mlflow" / "mlflow.gcp.yml").read_text()
    )


def test_the_project_plans_and_creates_the_resources(consumer: Consumer, door: Door) -> None:
    assert "home/.ansible/collections" in consumer.galaxy("list", "mlops.mlflow_gcp")
    inventory = ("-i", "inventory")
    assert consumer.run(*inventory, "--check", "--diff", playbook="site.yml") == 0, consumer.output[-5000:]
    assert "mlflow-server" in consumer.output
    assert door.changing == []
    assert consumer.to_the_end(*inventory, playbook="mlops.mlflow_gcp.provision") > 0
    (consumer.directory / "connection.yml").write_text(CONNECTION)
    assert consumer.run(*inventory, playbook="connection.yml") == 0, consumer.output
    ssh = consumer.state / "mlflow-local-mlflow" / "ssh"
    assert "deployer 198.51.100." in consumer.output
    assert f"{ssh}/id_ed25519 -o UserKnownHostsFile={ssh}/known_hosts " in consumer.output
