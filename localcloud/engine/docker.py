# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The engine of `serve --engine docker`: containers, nftables and the listeners for VMs."""

from __future__ import annotations

import importlib
from typing import IO, TYPE_CHECKING

from localcloud import locks
from localcloud.engine import docker_common
from localcloud.engine.authority import Authority
from localcloud.engine.base import Engine, EngineError
from localcloud.engine.dns import NameServer, Resolver
from localcloud.engine.docker_databases import DockerDatabases
from localcloud.engine.docker_machines import DockerMachines
from localcloud.engine.listeners import AsgiListener, api_certificate
from localcloud.engine.nft_network import PORTS, NftNetwork
from localcloud.services import metadata

if TYPE_CHECKING:
    from localcloud.app import App
    from localcloud.cloud import Cloud, Settings
    from localcloud.server import Listener

COMPUTE = "localcloud.services.compute"
_held: list[IO[str]] = []


def authority(settings: Settings) -> Authority:
    """Return the local cloud's CA."""
    return Authority(settings.home / "ca")


def build(settings: Settings) -> Engine:
    """Return the engine on this host. It finds the VMs and databases of an earlier run."""
    _only_one(settings)
    client = docker_common.connect()
    network = NftNetwork(settings.home)
    network.prepare()
    return Engine(DockerMachines(client, authority(settings).path), DockerDatabases(client), network)


def _only_one(settings: Settings) -> None:
    """Take the host's lock until the process ends: there is one network and one set of ports for VMs."""
    try:
        _held.append(locks.hold(locks.MACHINE, str(settings.home)))
    except locks.Taken as taken:
        raise EngineError(locks.other_cloud(str(taken))) from None


def listeners(cloud: Cloud, app: App) -> list[Listener]:
    """Return the metadata server, Google's APIs over TLS and the name server. The Compute service identifies VMs."""
    directory: metadata.InstanceDirectory = importlib.import_module(COMPUTE).instance_directory(cloud)
    server = metadata.MetadataServer(directory, cloud.auth, metadata.CHANGES)
    certificate, key = api_certificate(authority(cloud.settings), cloud.settings.home / "ca")
    return [
        AsgiListener(server.app, PORTS.host, PORTS.metadata, on_stop=server.changes.close),
        AsgiListener(app.asgi, PORTS.host, PORTS.api, certificate=certificate, key=key),
        NameServer(Resolver(directory.address_of), PORTS.host, PORTS.dns),
    ]
