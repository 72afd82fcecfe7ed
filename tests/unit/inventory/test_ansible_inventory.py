# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The inventory source of this repository: several sources in one run, and one deployment of several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "inventory" / "mlflow" / "mlflow.gcp.yml"
INVENTORY = str(Path(sys.executable).parent / "ansible-inventory")
ADDRESSES = {"production": "198.51.100.1", "staging": "198.51.100.2", "testing": "198.51.100.3"}
UNIQUE = "hostnames: [\"name ~ '.' ~ zone ~ '.' ~ project\"]\n"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Compute(BaseHTTPRequestHandler):
    """Compute Engine with one VM `mlflow-server` in each project."""

    filters: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.filters += parse_qs(urlsplit(self.path).query)["filter"]
        project = self.path.split("/projects/")[1].split("/")[0]
        zone = f"https://www.googleapis.com/compute/v1/projects/{project}/zones/europe-west1-b"
        interfaces = [{"networkIP": "10.128.0.2", "accessConfigs": [{"natIP": ADDRESSES[project]}]}]
        vm = {"name": "mlflow-server", "zone": zone, "networkInterfaces": interfaces}
        vm["selfLink"] = f"{zone}/instances/mlflow-server"
        body = json.dumps({"items": {"zones/europe-west1-b": {"instances": [vm]}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Compute)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "CLOUDSDK_"))}
    environment |= {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"http://127.0.0.1:{server.server_port}/compute/v1/",
        "GCP_AUTH_KIND": "access_token",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "token-of-the-test",
    }
    Compute.filters.clear()
    yield environment
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    def ran(*projects: str, more: str = "") -> subprocess.CompletedProcess[str]:
        sources = []
        for project in projects:
            path = tmp_path / f"{project}.gcp.yml"
            shipped = SOURCE.read_text().replace("{{ deployment_project | default('') }}", project)
            path.write_text(f"{shipped}{more}keyed_groups: [{{key: project, separator: ''}}]\n")
            sources += ["-i", str(path)]
        command = [INVENTORY, *sources, "--list"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    return ran


def test_a_collision_ends_the_run(run: Run) -> None:
    """The third VM of the same name replaced the second, and a group of staging contained production's address."""
    done = run(*ADDRESSES)
    said = " ".join(done.stderr.split())
    assert done.returncode != 0
    assert "production/europe-west1-b/mlflow-server" in said
    assert "staging/europe-west1-b/mlflow-server" in said
    assert "hostnames" in said


def test_unique_hostnames_keep_the_projects_apart(run: Run) -> None:
    done = run(*ADDRESSES, more=UNIQUE)
    assert done.returncode == 0, done.stderr
    inventory = json.loads(done.stdout)
    for project, address in ADDRESSES.items():
        (host,) = inventory[project]["hosts"]
        assert inventory["_meta"]["hostvars"][host]["ansible_host"] in (address, {"__ansible_unsafe": address})
    assert len(inventory["mlflow"]["hosts"]) == len(ADDRESSES)


def test_one_project_needs_no_other_names(run: Run) -> None:
    done = run("production")
    assert json.loads(done.stdout)["mlflow"]["hosts"] == ["mlflow-server"], done.stderr


PLAYBOOK = """
- hosts: localhost, mlflow
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "{{ inventory_hostname }} {{ deployment_name }} {{ shared }} {{ for_all }}"}
"""


@pytest.mark.parametrize("extra", [False, True])
def test_each_deployment_has_its_own_variables_and_vm(tmp_path: Path, environment: dict[str, str], extra: bool) -> None:
    """Variables beside the inventory source override those beside the playbook."""
    files = {
        "site.yml": PLAYBOOK,
        "group_vars/all.yml": "deployment_name: none\nshared: none\nfor_all: for-all",
        "inventory/staging/mlflow.gcp.yml": SOURCE.read_text(),
        "inventory/staging/group_vars/all.yml": "deployment_name: blue\ndeployment_project: staging\nshared: own",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [INVENTORY.replace("ansible-inventory", "ansible-playbook"), "-i", "inventory/staging", "site.yml"]
    command += ["-e", "deployment_name=green"] if extra else []
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    name = "green" if extra else "blue"
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("localhost", "mlflow-server"):
        assert f"msg: {host} {name} own for-all" in done.stdout
    assert Compute.filters == [f"(labels.app=mlflow) (labels.mlflow-deployment={name}) (status=RUNNING)"]
