# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`up`, kill -9, `up`, `down` on this host: a VM runs on without the server process, and `down` removes everything.

Runs before the end-to-end tests, whose deployments it would remove, and after the engine's tests, which use the host's
network, too. Skipped if a local cloud is up or has VMs: this test would remove it.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import docker
import pytest

from localcloud.commands import _process
from localcloud.core import locks
from localcloud.engine import docker_common, sysctls
from tests.localcloud.compute_client import ZONE, Compute
from tests.localcloud.engine.world import eventually, host_connects
from tests.localcloud.harness import PLATFORM, Local

pytestmark = pytest.mark.engine
REPOSITORY = pathlib.Path(__file__).parents[2]
VM = f"{ZONE}/instances/vm"


class Cloud(Local):
    """A local cloud in a process of its own, on the Docker engine."""

    def command(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """`python -m localcloud NAME`, as the scripts run it."""
        program = [sys.executable, "-m", "localcloud", name, "--home", str(self.home), "--port", str(self.port)]
        return subprocess.run(
            [*program, *options], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
        )

    def up(self) -> None:
        done = self.command("up")
        assert done.returncode == 0, done.stderr

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.command("down", "--keep-images")


@pytest.fixture
def found(client: docker.DockerClient) -> dict[str, str]:
    """Return the host's settings before the test, without any local cloud."""
    if locks.holder(locks.MACHINE) is not None or docker_common.left(client):
        pytest.skip("there is a local cloud on this host, and this would take it down: `make down` first")
    return host_settings()


@pytest.fixture
def cloud(found: dict[str, str], tmp_path: pathlib.Path) -> Iterator[Cloud]:
    """Yield a running local cloud with Compute Engine enabled."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Cloud((tmp_path / "home").resolve(), probe.getsockname()[1])
    try:
        made.up()
        session = made.session()
        enable = "/serviceusage/v1/projects/mlflow-local/services:batchEnable"
        operation = session.call("POST", enable, json={"serviceIds": ["compute.googleapis.com"]})
        eventually(lambda: session.call("GET", f"/serviceusage/v1/{operation['name']}").get("done"))
        yield made
    finally:
        made.down()


class Shell:
    """The deployer's SSH access to the VM: a key, and the host keys from the API."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._key, self._known = folder / "key", folder / "known_hosts"
        self.address = ""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=True)

    @property
    def public_key(self) -> str:
        return self._key.with_suffix(".pub").read_text().strip()

    def meets(self, compute: Compute) -> None:
        """Read the VM's address, and its host keys after it has published them."""
        self.address = compute("GET", VM)["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
        path = f"{VM}/getGuestAttributes?queryPath=hostkeys/"
        published = f"{compute.session.local.url}/compute/v1/projects/mlflow-local/{path}"
        eventually(lambda: compute.session.http.get(published).ok, 60)
        items = compute("GET", path)["queryValue"]["items"]
        self._known.write_text("".join(f"{self.address} {item['key']} {item['value'].strip()}\n" for item in items))

    def __call__(self, command: str) -> str | None:
        """Run a command in the VM; return its output, or None if it fails."""
        options = [
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self._known}",
            "BatchMode=yes",
            "ConnectTimeout=5",
        ]
        ssh = ["ssh", "-i", str(self._key), *(word for option in options for word in ("-o", option))]
        done = subprocess.run(
            [*ssh, f"ada@{self.address}", command], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None


def machine(cloud: Cloud, shell: Shell) -> Compute:
    """Create a VM for the deployer, on the project's network `default` and with its default account."""
    compute = Compute(cloud)
    metadata = {"enable-guest-attributes": "TRUE", "ssh-keys": f"ada:{shell.public_key}"}
    card = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    compute.instance(
        metadata={"items": [{"key": key, "value": value} for key, value in metadata.items()]},
        networkInterfaces=[card],
        serviceAccounts=[{"email": "default", "scopes": [PLATFORM]}],
    )
    shell.meets(compute)
    return compute


def host_settings() -> dict[str, str]:
    """Return the kernel's settings. A missing setting counts as off."""
    paths = {name: pathlib.Path("/proc/sys", name) for name in sysctls.SHARED}
    return {name: path.read_text().strip() if path.exists() else "0" for name, path in paths.items()}


def test_machines_outlive_the_process_and_nothing_outlives_down(
    client: docker.DockerClient, found: dict[str, str], cloud: Cloud, tmp_path: pathlib.Path
) -> None:
    shell = Shell(tmp_path)
    compute = machine(cloud, shell)
    # /run does not survive a reboot of the VM.
    eventually(lambda: shell("echo this-boot | sudo tee /run/note") == "this-boot", 60)
    before = compute("GET", VM)
    assert before["networkInterfaces"][0]["networkIP"].startswith("10.132.0.")
    account = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default"
    ask = f"curl --silent --fail -H 'Metadata-Flavor: Google' {account}"
    # The guest agent may restart sshd once more.
    email = "100000000001-compute@developer.gserviceaccount.com"
    eventually(lambda: shell(f"{ask}/email") == email, 60)
    eventually(lambda: shell(f"{ask}/token"), 60)

    os.kill(int(_process.pid_file(cloud.settings).read_text()), signal.SIGKILL)
    eventually(lambda: _process.find(cloud.settings) is None)
    assert not _process.healthy(cloud.settings)
    assert shell("cat /run/note") == "this-boot"

    cloud.up()
    eventually(lambda: compute("GET", VM)["status"] == "RUNNING")
    assert compute("GET", VM)["id"] == before["id"]
    assert compute("GET", VM)["networkInterfaces"] == before["networkInterfaces"]
    assert shell("cat /run/note") == "this-boot"
    compute.removed("global/firewalls/default-allow-ssh")
    assert not host_connects(shell.address, 22), "the new process has the machine's network in its hands"

    done = cloud.down()
    assert done.returncode == 0, done.stderr
    label = {"label": docker_common.KIND_LABEL}
    assert client.containers.list(all=True, filters=label) == []
    assert client.volumes.list(filters=label) == []
    assert client.networks.list(filters={"label": docker_common.LABEL}) == []
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    assert [link["ifname"] for link in links if link["ifname"].startswith("mlc")] == []
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert "mlflow-localcloud" not in tables
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert "mlc+" not in rules
    assert host_settings() == found
    assert not cloud.home.exists()
