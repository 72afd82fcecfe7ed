# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The interface between services and engine: VMs, databases and a network, each behind one small Protocol.

Services decide which resources exist; an engine creates them. Ids are chosen by the caller and opaque to an engine
(letters, digits, ``-``, ``_`` and ``.``). Every call is idempotent: creating an existing resource replaces it, deleting
a missing resource does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from localcloud.core.settings import Settings

Direction = Literal["INGRESS", "EGRESS"]


class EngineError(Exception):
    """The engine could not do the task; the message gives the reason for the user."""


class NotFound(EngineError):  # noqa: N818 - same name as in the API's answer
    """No VM, database or backup has this id."""


@dataclass(frozen=True)
class MachineSpec:
    """One VM. ``image`` is ``debian-13`` or ``debian-12``; ``network`` names the VPC network."""

    id: str
    name: str
    hostname: str
    image: str
    network: str
    subnetwork_cidr: str
    internal_ip: str
    external_ip: str | None = None


class Machines(Protocol):
    """VMs that keep their disk across stop, start and reset."""

    def create(self, spec: MachineSpec) -> None:
        """Create and boot a VM; returns when PID 1 runs."""

    def start(self, id: str) -> None:
        """Boot a stopped VM, also after a restart of the host or the engine."""

    def stop(self, id: str) -> None:
        """Shut down cleanly; returns when the VM is off."""

    def reset(self, id: str) -> None:
        """Cut the power and boot again from the same disk."""

    def delete(self, id: str) -> None:
        """Remove the VM and its disk."""

    def running(self, id: str) -> bool:
        """Return whether PID 1 runs; False for a missing VM."""

    def ids(self) -> list[str]:
        """Return the ids of all VMs, running or not."""

    def console(self, id: str) -> str:
        """Return the VM's console output, with its SSH host keys while it runs."""


def printed(keys: list[str]) -> str:
    """Return SSH host keys as cloud-init prints them on a VM's console."""
    lines = ["-----BEGIN SSH HOST KEY KEYS-----", *keys, "-----END SSH HOST KEY KEYS-----"]
    return "".join(f"{line}\r\n" for line in lines)


@dataclass(frozen=True)
class DatabaseSpec:
    """One database server. ``server_certificate`` and ``server_key`` are PEM; ``flags`` are PostgreSQL settings."""

    id: str
    version: str
    network: str
    range_cidr: str
    ip: str
    server_certificate: str
    server_key: str
    flags: dict[str, str] = field(default_factory=dict)
    require_ssl: bool = True


class Databases(Protocol):
    """PostgreSQL servers reachable only from the VPC network that their range is peered with."""

    def create(self, spec: DatabaseSpec) -> None:
        """Create and start a server; returns when it answers queries."""

    def start(self, id: str) -> None:
        """Start a stopped server; returns when it answers queries."""

    def stop(self, id: str) -> None:
        """Shut the server down cleanly."""

    def restart(self, id: str, flags: dict[str, str] | None = None) -> None:
        """Restart the server; ``flags``, if given, replaces all flags."""

    def delete(self, id: str) -> None:
        """Remove the server and its data. Its backups stay until delete_backup."""

    def set_require_ssl(self, id: str, require_ssl: bool) -> None:
        """Set whether new connections must use TLS."""

    def set_certificate(self, id: str, certificate: str, key: str) -> None:
        """Replace the server certificate and its key (PEM) for new connections."""

    def running(self, id: str) -> bool:
        """Return whether the server runs; False for a missing server."""

    def ids(self) -> list[str]:
        """Return the ids of all servers, running or not."""

    def execute(self, id: str, sql: str, *, database: str = "postgres") -> list[list[str]]:
        """Run SQL as superuser inside the server; returns rows as text, NULL as an empty string."""

    def backup(self, id: str, backup_id: str) -> None:
        """Take a consistent backup of the whole server."""

    def restore(self, id: str, backup_id: str, from_id: str) -> None:
        """Replace all data of server ``id`` with the backup taken from server ``from_id``."""

    def delete_backup(self, id: str, backup_id: str) -> None:
        """Remove one backup."""


@dataclass(frozen=True)
class Subnet:
    """A range of internal addresses that belongs to a VPC network."""

    network: str
    cidr: str


@dataclass(frozen=True)
class AddressMap:
    """An external address and the internal address that it is translated to, one to one."""

    external: str
    internal: str


@dataclass(frozen=True)
class Rule:
    """A firewall rule with its targets resolved to internal addresses (None: every VM of the network).

    ``protocols`` holds pairs such as ``("tcp", ("22", "8000-8080"))``, ``("icmp", ())``, ``("all", ())``; empty means
    every protocol. The lower ``priority`` wins; with equal priority, deny wins. ``source_ranges`` apply to ingress,
    ``destination_ranges`` to egress; empty means any address.
    """

    network: str
    direction: Direction
    priority: int
    allow: bool
    source_ranges: tuple[str, ...] = ()
    target_ips: tuple[str, ...] | None = None
    protocols: tuple[tuple[str, tuple[str, ...]], ...] = ()
    destination_ranges: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkState:
    """The desired state of the whole network."""

    subnetworks: tuple[Subnet, ...] = ()
    peered_ranges: tuple[Subnet, ...] = ()
    addresses: tuple[AddressMap, ...] = ()
    firewall: tuple[Rule, ...] = ()


class Network(Protocol):
    """Addresses, address translation and firewall of all VPC networks."""

    def apply(self, wanted: NetworkState) -> None:
        """Apply the desired state of the whole network. Declarative and idempotent."""


@dataclass(frozen=True)
class Engine:
    """VMs, databases and network, as passed to the services."""

    machines: Machines
    databases: Databases
    network: Network


class Listener(Protocol):
    """A further listener of the same cloud: https for VMs, the metadata server, DNS."""

    def start(self) -> None:
        """Start the listener; returns once it listens."""

    def stop(self) -> None:
        """Stop the listener."""


@dataclass(frozen=True)
class RecordSet:
    """The DNS records of one type at a name, which is fully qualified and in lower case.

    ``ttl`` is in seconds. ``data`` has the form of zone files (RFC 1035), for example ``10 mail.example.com.``
    """

    name: str
    type: str
    ttl: int
    data: tuple[str, ...]


@dataclass(frozen=True)
class HostedZone:
    """A DNS zone whose names VMs resolve. It has an SOA record."""

    name: str
    record_sets: tuple[RecordSet, ...]


ZoneLookup = Callable[[str], HostedZone | None]
"""Maps a fully qualified name in lower case to the hosted zone that has it, or to None."""


@dataclass(frozen=True)
class Applications:
    """The parts of the local cloud that VMs reach: ASGI applications, the names of VMs and the hosted zones."""

    api: Any
    """Google's APIs, by the Host header."""
    metadata: Any
    """The metadata server."""
    on_stop: Callable[[], None]
    """Ends waiting requests of the metadata server."""
    address_of: Callable[[str], str | None]
    """Returns the internal address of a VM's name."""
    zone_of: ZoneLookup
    """Returns the hosted zone of a name."""


class EngineModule(Protocol):
    """The interface of the module `localcloud.engine.NAME`, which `--engine NAME` loads."""

    def build(self, settings: Settings) -> Engine:
        """Return the engine. It finds the VMs of an earlier run."""

    def listeners(self, settings: Settings, apps: Applications) -> list[Listener]:
        """Return the listeners besides 127.0.0.1."""
