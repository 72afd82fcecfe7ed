# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The engine of `serve --engine docker`: containers, nftables and the listeners for VMs."""

from __future__ import annotations

from typing import IO

from localcloud.core import locks
from localcloud.core.settings import Settings
from localcloud.engine import docker_common
from localcloud.engine.acme import AcmeDirectory
from localcloud.engine.authority import Authority
from localcloud.engine.base import Applications, Engine, EngineError, Listener
from localcloud.engine.dns import NameServer, Resolver
from localcloud.engine.docker_databases import DockerDatabases
from localcloud.engine.docker_machines import DockerMachines
from localcloud.engine.listeners import AsgiListener, api_certificate
from localcloud.engine.nft_network import PORTS, NftNetwork

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


def listeners(settings: Settings, apps: Applications) -> list[Listener]:
    """Return the metadata server, Google's APIs over TLS and the name server."""
    certificate, key = api_certificate(authority(settings), settings.home / "ca")
    acme = AcmeDirectory(authority(settings), settings.home / "acme", PORTS) if AcmeDirectory.installed() else None
    return [
        AsgiListener(apps.metadata, PORTS.host, PORTS.metadata, on_stop=apps.on_stop),
        AsgiListener(apps.api, PORTS.host, PORTS.api, certificate=certificate, key=key),
        NameServer(Resolver(apps.address_of, zone_of=apps.zone_of), PORTS.host, PORTS.dns),
        *([acme] if acme else []),
    ]
