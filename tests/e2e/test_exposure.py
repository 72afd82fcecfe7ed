# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Test the network exposure of the deployment, and that no password is stored or logged in a wrong place."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from localcloud.engine.nft_network import Outsider, outsider
from tests.e2e.deployment import FIRST_RUN, REPO, Deployment

# Well-known ports, and the usual ports of MLflow, databases, proxies, exporters and debuggers.
PORTS = [*range(1, 1025), 2375, 2376, 3000, 3306, 5000, 5001, 5432, 5678, 6379, 8000, 8080, 8443, 8888, 9090, 9100]
# Print the open ports. The scan is parallel, because each dropped packet costs a timeout.
SCAN = """
import asyncio, json, sys

async def opens(address, port, few):
    async with few:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 3)
        except (OSError, asyncio.TimeoutError):
            return False
        writer.close()
        return True

async def main(address, *ports):
    few = asyncio.Semaphore(400)  # fewer than the files a process may have open
    found = await asyncio.gather(*(opens(address, int(port), few) for port in ports))
    print(json.dumps([int(port) for port, is_open in zip(ports, found) if is_open]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def stranger() -> Outsider:
    with outsider() as namespace:
        yield namespace


def test_a_stranger_reaches_only_80_and_443(site: Deployment, stranger: Outsider) -> None:
    done = stranger.run(sys.executable, "-I", "-c", SCAN, site.address, *map(str, PORTS))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [80, 443]


def test_the_deployer_reaches_ssh(site: Deployment) -> None:
    with socket.create_connection((site.address, 22), timeout=10) as connection:
        assert connection.recv(4) == b"SSH-"


def test_mlflow_listens_on_no_network_address(site: Deployment) -> None:
    listeners = site.ssh("sudo ss -Hltnp")
    assert "nginx" in listeners
    for line in listeners.splitlines():
        if "nginx" not in line and "sshd" not in line and "systemd" not in line:
            local = line.split()[3]
            assert local.startswith(("127.", "[::1]")), line


def test_postgresql_is_unreachable_from_outside_the_vpc(site: Deployment, stranger: Outsider) -> None:
    instance = site.call("GET", "sql", f"v1/projects/{site.project}/instances/mlflow-database")
    address = instance["ipAddresses"][0]["ipAddress"]
    assert instance["settings"]["ipConfiguration"]["ipv4Enabled"] is False
    assert not stranger.can_connect(address, 5432)
    with pytest.raises(OSError, match=r"timed out|refused|unreachable"):
        socket.create_connection((address, 5432), timeout=3)
    assert "open" in site.ssh(f"timeout 5 bash -c '</dev/tcp/{address}/5432' && echo open")


def test_mlflow_verifies_the_certificate_of_the_database(site: Deployment) -> None:
    # The launcher sets these variables for its child processes.
    environment = site.ssh("sudo sh -c 'for p in $(pgrep -u mlflow); do cat /proc/$p/environ; done'").split("\0")
    assert "sslmode=verify-ca" in "".join(line for line in environment if line.startswith("MLFLOW_BACKEND_STORE_URI="))
    found = [line.partition("=")[2] for line in environment if line.startswith("PGSSLROOTCERT=")]
    trusted = site.ssh(f"sudo cat {found[0]}")
    instance = site.call("GET", "sql", f"v1/projects/{site.project}/instances/mlflow-database")
    assert trusted.strip() == instance["serverCaCert"]["cert"].strip()


def test_no_password_where_it_does_not_belong(site: Deployment) -> None:
    uri = site.secret("mlflow-database-uri")
    secrets = [
        site.secret("mlflow-admin-password"),
        site.secret("mlflow-user-alice"),
        site.secret("mlflow-flask-secret-key"),
        *site.secret("mlflow-webhook-encryption-key").splitlines(),
        *site.secret("mlflow-crypto-kek-passphrase").splitlines(),
        uri.partition("://")[2].partition("@")[0].partition(":")[2],
    ]
    assert all(len(secret) >= 20 for secret in secrets)
    places = {
        "ps": site.ssh("sudo ps auxww"),
        "systemctl show": site.ssh("sudo systemctl show '*'"),
        "journal": site.ssh("sudo journalctl --no-pager --output=cat"),
        "machine's files": site.ssh(
            "sudo grep -rIlE "
            + "'"
            + "|".join(secrets)
            + "' /etc /opt/mlflow /var/lib/mlflow /var/log /home /root /usr/local --exclude-dir=proc; true"
        ),
        "repository": subprocess.run(
            ["git", "grep", "-lE", "|".join(secrets)], cwd=REPO, capture_output=True, text=True
        ).stdout,
        "state directory": "".join(path.read_text() for path in site.state.rglob("*") if path.is_file()),
        "instance": json.dumps(
            site.call("GET", "compute", f"projects/{site.project}/zones/europe-west1-b/instances/mlflow-server")
        ),
    }
    logs = {path.name: path.read_text() for path in site.artifacts.glob("*.log")}
    # The logs include the run that generated the passwords and printed the arguments of each module.
    first = [text for name, text in logs.items() if name.startswith(f"{FIRST_RUN}-")]
    assert len(first) == 1
    assert "password: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in first[0]
    places |= logs
    assert places["machine's files"] == ""
    assert places["repository"] == ""
    found = [place for place, text in places.items() for secret in secrets if secret in text]
    assert not found
    assert "PRIVATE KEY" not in "".join(logs.values())


def test_the_machine_cannot_read_the_authoritys_key(site: Deployment) -> None:
    answer = site.ssh(
        "T=$(curl -sH 'Metadata-Flavor: Google' http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
        " | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])');"
        f" curl -s -o /dev/null -w '%{{http_code}}' -H \"Authorization: Bearer $T\""
        f" https://secretmanager.googleapis.com/v1/projects/{site.project}/secrets/mlflow-ca/versions/latest:access"
    )
    assert answer == "403"
