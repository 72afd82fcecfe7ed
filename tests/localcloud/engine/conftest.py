# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A small cloud on the Docker engine, created for the tests here and removed before other tests start."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError

from localcloud.commands import _home, _process
from localcloud.core.settings import Settings
from localcloud.engine import docker_common
from localcloud.engine.authority import Authority
from localcloud.engine.base import DatabaseSpec, EngineError
from localcloud.engine.dns import NameServer, Resolver
from localcloud.engine.docker_databases import DockerDatabases
from localcloud.engine.docker_machines import DockerMachines
from localcloud.engine.listeners import AsgiListener, api_certificate
from localcloud.engine.nft_network import PORTS, NftNetwork, Outsider, outsider
from localcloud.metadata.server import MetadataServer
from tests.localcloud.engine.world import (
    DATABASE_IP,
    FAR,
    ID,
    NETWORK,
    ONE,
    SERVICES,
    STATE,
    TWO,
    Directory,
    Tokens,
    World,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests that use `world`: they need an engine."""
    for item in items:
        if "world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="package")
def world(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield the VMs one and two, the VM far in another network, and the cloud's services for VMs."""
    if _process.healthy(Settings(home=tmp_path_factory.getbasetemp(), url=f"http://127.0.0.1:{_home.PORT}")):
        pytest.skip("a local cloud is up on this host, and there is one network for both: `make down` first")
    home = tmp_path_factory.mktemp("localcloud")
    key = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    authority = Authority(home / "ca")
    directory = Directory(
        {
            "enable-guest-attributes": "TRUE",
            "ssh-keys": f"ada:{key.with_suffix('.pub').read_text().strip()}",
            "startup-script": "#!/bin/sh\necho from-startup-script >>/var/startup-script-ran\n",
        }
    )
    machines, databases, network = DockerMachines(client, authority.path), DockerDatabases(client), NftNetwork(home)
    try:
        network.apply(STATE)
        server = MetadataServer(directory, Tokens())
        certificate, private = api_certificate(authority, home / "tls")
        listeners: list[AsgiListener | NameServer] = [
            AsgiListener(server.app, PORTS.host, PORTS.metadata, on_stop=server.changes.close),
            AsgiListener(server.app, PORTS.host, PORTS.api, certificate=certificate, key=private),
            NameServer(Resolver(directory.address_of), PORTS.host, PORTS.dns),
        ]
        for listener in listeners:
            listener.start()
    except EngineError as error:
        pytest.fail(f"{error} (is a local cloud up? `python -m localcloud down` first)")
    try:
        for spec in (ONE, TWO, FAR):
            machines.create(spec)
        yield World(machines, databases, network, directory, authority, key)
    finally:
        for listener in listeners:
            listener.stop()
        _clean(client, machines, databases)
        network.remove()


def _clean(client: docker.DockerClient, machines: DockerMachines, databases: DockerDatabases) -> None:
    for engine in (machines, databases):
        for id in engine.ids():
            if id.startswith(ID):
                engine.delete(id)
    with contextlib.suppress(APIError):  # does not exist, or another database uses it
        client.volumes.get("mlflow-localcloud-backups").remove()
    for found in client.networks.list(filters={"label": f"{docker_common.LABEL}=network"}):
        if (found.attrs["Labels"] or {}).get(f"{docker_common.LABEL}.network", "").startswith(ID):
            found.remove()


@pytest.fixture
def stranger(world: World) -> Iterator[Outsider]:
    """Yield a host on the Internet."""
    with outsider() as someone:
        yield someone


@pytest.fixture(autouse=True)
def usual_firewall(request: pytest.FixtureRequest) -> Iterator[None]:
    """Restore the usual firewall rules after a test that changes them."""
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").network.apply(STATE)


@pytest.fixture(scope="package")
def database(world: World) -> DatabaseSpec:
    """Return a PostgreSQL 17 server with one user and one database."""
    issued = world.authority.issue("database", DATABASE_IP)
    spec = DatabaseSpec(
        f"{ID}db", "POSTGRES_17", NETWORK, SERVICES, DATABASE_IP, issued.certificate, issued.key, {"work_mem": "7MB"}
    )
    world.databases.create(spec)
    world.databases.execute(spec.id, "CREATE ROLE app LOGIN PASSWORD 'it''s secret' IN ROLE cloudsqlsuperuser")
    world.databases.execute(spec.id, "CREATE DATABASE app OWNER app")
    return spec
