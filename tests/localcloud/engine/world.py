# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The small cloud that these tests share, and functions to query it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localcloud.engine.authority import Authority
from localcloud.engine.base import (
    AddressMap,
    MachineSpec,
    NetworkState,
    Rule,
    Subnet,
)
from localcloud.engine.docker_databases import DockerDatabases
from localcloud.engine.docker_machines import DockerMachines
from localcloud.engine.nft_network import HOST_ADDRESS, NftNetwork

Json = dict[str, Any]
ID = "enginetest-"
NETWORK, OTHER = "enginetest-network", "enginetest-other"
SUBNET, OTHER_SUBNET, SERVICES = "10.213.0.0/24", "10.213.1.0/24", "10.213.2.0/24"
DATABASE_IP = "10.213.2.5"


def _machine(name: str, network: str, cidr: str, internal: str, external: str | None = None) -> MachineSpec:
    hostname = f"{name}.zone-a.c.test.internal"
    return MachineSpec(f"{ID}{name}", name, hostname, "debian-13", network, cidr, internal, external)


ONE = _machine("one", NETWORK, SUBNET, "10.213.0.2", "198.51.100.71")
TWO = _machine("two", NETWORK, SUBNET, "10.213.0.3")
OLD = replace(_machine("old", NETWORK, SUBNET, "10.213.0.4", "198.51.100.74"), image="debian-12")
FAR = _machine("far", OTHER, OTHER_SUBNET, "10.213.1.2", "198.51.100.72")

SSH_FROM_HOST = Rule(NETWORK, "INGRESS", 1000, True, (f"{HOST_ADDRESS}/32",), None, (("tcp", ("22",)),))
SSH_WITHIN = Rule(NETWORK, "INGRESS", 1000, True, (SUBNET,), None, (("tcp", ("22",)),))
STATE = NetworkState(
    subnetworks=(Subnet(NETWORK, SUBNET), Subnet(OTHER, OTHER_SUBNET)),
    peered_ranges=(Subnet(NETWORK, SERVICES),),
    addresses=(
        AddressMap("198.51.100.71", "10.213.0.2"),
        AddressMap("198.51.100.72", "10.213.1.2"),
        AddressMap("198.51.100.74", "10.213.0.4"),
    ),
    firewall=(SSH_FROM_HOST, SSH_WITHIN),
)


@dataclass
class Directory:
    """The metadata server's data in these tests."""

    metadata: dict[str, str] = field(default_factory=dict)
    guest: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def by_internal_ip(self, ip: str) -> Json | None:
        spec = next((spec for spec in (ONE, TWO, FAR, OLD) if spec.internal_ip == ip), None)
        if spec is None:
            return None
        return {
            "name": spec.name,
            "id": str(int.from_bytes(spec.name.encode(), "big")),
            "creationTimestamp": "2026-01-31T16:00:00.500-08:00",
            "selfLink": f"https://www.googleapis.com/compute/v1/projects/test/zones/zone-a/instances/{spec.name}",
            "networkInterfaces": [{"networkIP": ip, "network": f"global/networks/{spec.network}"}],
            "serviceAccounts": [{"email": "server@test.iam.gserviceaccount.com", "scopes": ["scope-a"]}],
            "metadata": {"items": [{"key": key, "value": value} for key, value in self.metadata.items()]},
        }

    def project(self, project_id: str) -> Json:
        return {"projectId": project_id, "numericProjectId": 7, "attributes": {}}

    def guest_attributes(self, instance: Json) -> dict[str, dict[str, str]]:
        return self.guest.get(instance["name"], {})

    def put_guest_attribute(self, instance: Json, namespace: str, key: str, value: str) -> None:
        self.guest.setdefault(instance["name"], {}).setdefault(namespace, {})[key] = value

    def delete_guest_attribute(self, instance: Json, namespace: str, key: str) -> None:
        self.guest.get(instance["name"], {}).get(namespace, {}).pop(key, None)

    def address_of(self, name: str) -> str | None:
        return next((spec.internal_ip for spec in (ONE, TWO, FAR, OLD) if spec.hostname == name), None)


@dataclass(frozen=True)
class Token:
    """An access token for tests."""

    token: str
    expires_in: int = 3600


class Tokens:
    """Issues tokens whose text contains the arguments of the call."""

    def issue_access_token(self, email: str, scopes: list[str], lifetime: int = 3600) -> Token:
        return Token(f"token of {email} for {' '.join(scopes)}", lifetime)

    def issue_id_token(
        self, email: str, audience: str, *, include_email: bool = True, extra: Json | None = None
    ) -> str:
        return f"{email} {audience} {include_email} {extra}"


@dataclass
class World:
    """The cloud under test."""

    machines: DockerMachines
    databases: DockerDatabases
    network: NftNetwork
    directory: Directory
    authority: Authority
    key: Path

    def open_only(self, *rules: Rule) -> None:
        """Replace the usual firewall rules."""
        self.network.apply(replace(STATE, firewall=rules))

    def run(self, spec: MachineSpec, *command: str) -> str:
        """Run a command in a VM, assert success, return the output."""
        status, output = self.machines.run(spec.id, *command)
        assert status == 0, f"{command}: {output}"
        return output

    def connects(self, spec: MachineSpec, address: str, port: int) -> bool:
        """Return whether a VM reaches a TCP port."""
        script = f"import socket; socket.create_connection(({address!r}, {port}), 2).close()"
        return self.machines.run(spec.id, "python3", "-I", "-c", script)[0] == 0


def eventually(check: Callable[[], object], seconds: float = 30) -> None:
    """Poll until a check is true; fail with its last value."""
    deadline = time.monotonic() + seconds
    while not (last := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last: {last!r}"
        time.sleep(0.3)


def host_connects(address: str, port: int, seconds: float = 2) -> bool:
    """Return whether this host, as the deployer, reaches a TCP port."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True
