# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the services need from an engine: machines, databases and a network, each behind one small Protocol.

The services decide *what* should exist; an engine makes it so. Ids are the caller's own and opaque to an engine
(letters, digits, ``-``, ``_`` and ``.``). Every call is safe to repeat after an interruption: creating what is there
already replaces it, deleting what is gone does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Direction = Literal["INGRESS", "EGRESS"]


class EngineError(Exception):
    """The engine could not do what was asked; the message says why in words for a person."""


class NotFound(EngineError):  # noqa: N818 - named as the API's own answer is
    """No machine, database or backup has this id."""


@dataclass(frozen=True)
class MachineSpec:
    """One virtual machine. ``image`` is ``debian-13`` or ``debian-12``; ``network`` names the VPC network."""

    id: str
    name: str
    hostname: str
    image: str
    network: str
    subnetwork_cidr: str
    internal_ip: str
    external_ip: str | None = None


class Machines(Protocol):
    """Virtual machines that keep their disk across stop, start and reset."""

    def create(self, spec: MachineSpec) -> None:
        """Create and boot; returns when PID 1 runs."""

    def start(self, id: str) -> None:
        """Boot a stopped machine, also after the host or the engine was restarted."""

    def stop(self, id: str) -> None:
        """Shut down cleanly; returns when the machine is off."""

    def reset(self, id: str) -> None:
        """Cut the power and boot again from the same disk."""

    def delete(self, id: str) -> None:
        """Remove the machine and its disk."""

    def running(self, id: str) -> bool:
        """True while PID 1 runs; False also for a machine that is not there."""

    def ids(self) -> list[str]:
        """Ids of all machines, running or not."""

    def console(self, id: str) -> str:
        """What the machine wrote to its console, with its SSH host keys while it runs."""


def printed(keys: list[str]) -> str:
    """Return SSH host keys as cloud-init prints them on a machine's console."""
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
        """Create and start; returns when the server answers queries."""

    def start(self, id: str) -> None:
        """Start a stopped server; returns when it answers queries."""

    def stop(self, id: str) -> None:
        """Shut the server down cleanly."""

    def restart(self, id: str, flags: dict[str, str] | None = None) -> None:
        """Restart; ``flags`` replaces the whole set of flags when given."""

    def delete(self, id: str) -> None:
        """Remove the server and its data. Its backups stay until delete_backup."""

    def set_require_ssl(self, id: str, require_ssl: bool) -> None:
        """Whether connections without TLS are refused; for new connections."""

    def set_certificate(self, id: str, certificate: str, key: str) -> None:
        """Another server certificate and its key, PEM; for new connections."""

    def running(self, id: str) -> bool:
        """True while the server runs; False also for one that is not there."""

    def ids(self) -> list[str]:
        """Ids of all servers, running or not."""

    def execute(self, id: str, sql: str, *, database: str = "postgres") -> list[list[str]]:
        """Run SQL as superuser inside the server; rows as text, NULL as an empty string."""

    def backup(self, id: str, backup_id: str) -> None:
        """Take a consistent backup of the whole server."""

    def restore(self, id: str, backup_id: str, from_id: str) -> None:
        """Replace everything in server ``id`` by the backup taken from server ``from_id``."""

    def delete_backup(self, id: str, backup_id: str) -> None:
        """Remove one backup."""


@dataclass(frozen=True)
class Subnet:
    """A range of internal addresses that belongs to a VPC network."""

    network: str
    cidr: str


@dataclass(frozen=True)
class AddressMap:
    """An external address and the internal address that it stands for, one to one."""

    external: str
    internal: str


@dataclass(frozen=True)
class Rule:
    """A firewall rule with its targets already resolved to internal addresses (None: every machine of the network).

    ``protocols`` holds pairs such as ``("tcp", ("22", "8000-8080"))``, ``("icmp", ())``, ``("all", ())``; empty means
    every protocol. Lower ``priority`` wins; between equals a deny wins. ``source_ranges`` matter for ingress,
    ``destination_ranges`` for egress; empty means anywhere.
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
    """The whole network as it should be."""

    subnetworks: tuple[Subnet, ...] = ()
    peered_ranges: tuple[Subnet, ...] = ()
    addresses: tuple[AddressMap, ...] = ()
    firewall: tuple[Rule, ...] = ()


class Network(Protocol):
    """Addresses, address translation and firewall of all VPC networks."""

    def apply(self, wanted: NetworkState) -> None:
        """Make the network exactly so. Declarative and idempotent: the whole state at once."""


@dataclass(frozen=True)
class Engine:
    """The three parts together, as the services receive them."""

    machines: Machines
    databases: Databases
    network: Network
