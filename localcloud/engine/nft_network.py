# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The VPC networks on this host: external addresses, address translation and firewall, in one nftables table.

External addresses come from 198.51.100.0/24. The host's bridge ``mlc-ext`` is the Internet of the local cloud: the host
(the control node) is 198.51.100.1, an outsider in a test has another address. An external address is a route and an
entry in the translation maps. As at Google, it is not visible on the VM's interface.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcloud.engine import sysctls
from localcloud.engine.base import EngineError, NetworkState
from localcloud.engine.docker_common import BRIDGE_PREFIX, run
from localcloud.engine.nft_rules import TABLE, Ports, ruleset
from localcloud.engine.routes import refuse_collision

EXTERNAL_RANGE = "198.51.100.0/24"
HOST_ADDRESS = "198.51.100.1"
OUTSIDER_ADDRESS = "198.51.100.200"
EXTERNAL_BRIDGE = f"{BRIDGE_PREFIX}-ext"
NAT_DEVICE = f"{BRIDGE_PREFIX}-nat"
PORTS = Ports(host=HOST_ADDRESS, metadata=8780, dns=8753, api=8743, acme=8714)
"""The local cloud's ports for VMs. Packets from VMs to 169.254.169.254 are redirected there."""


class NftNetwork:
    """:class:`localcloud.engine.base.Network` with nftables, iproute2 and two bridges. Needs root.

    ``home`` stores the host's former settings.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Create the base of every state: forwarding, bridges, and a rule in Docker's packet filter. Idempotent."""
        _require_programs()
        sysctls.remember(self._home)
        sysctls.write(sysctls.FORWARDING, "1")
        _ensure_bridge_netfilter()
        if not _device_exists(EXTERNAL_BRIDGE):
            refuse_collision(EXTERNAL_RANGE, ours=BRIDGE_PREFIX)
        for device in (EXTERNAL_BRIDGE, NAT_DEVICE):
            if not _device_exists(device):
                run("ip", "link", "add", device, "type", "bridge")
                sysctls.write(f"net/ipv6/conf/{device}/disable_ipv6", "1", required=False)
            run("ip", "link", "set", device, "up")
        run("ip", "address", "replace", f"{HOST_ADDRESS}/24", "dev", EXTERNAL_BRIDGE)
        # The bridge answers ARP for external addresses, whose routes use other interfaces.
        sysctls.write(f"net/ipv4/conf/{EXTERNAL_BRIDGE}/proxy_arp", "1")
        # Disable the delay that the kernel adds when it answers for other hosts.
        sysctls.write(f"net/ipv4/neigh/{EXTERNAL_BRIDGE}/proxy_delay", "0")
        _open_doors()

    def apply(self, wanted: NetworkState) -> None:
        with self._lock:
            self.prepare()
            run("nft", "-f", "-", input=ruleset(wanted, PORTS, EXTERNAL_RANGE))
            self._set_routes({address.external for address in wanted.addresses})

    def remove(self) -> None:
        """Remove all changes of prepare and apply."""
        with self._lock:
            if shutil.which("nft") and _table_exists():
                run("nft", "delete", "table", "ip", TABLE)
            _close_doors()
            if shutil.which("ip"):
                _remove_outsiders()
                for device in (EXTERNAL_BRIDGE, NAT_DEVICE):
                    if _device_exists(device):
                        run("ip", "link", "delete", device)
            sysctls.put_back(self._home)

    @staticmethod
    def left() -> list[str]:
        """Return descriptions of the remaining network resources of any local cloud, except Docker networks."""
        found = [f"nftables table {TABLE}"] if shutil.which("nft") and _table_exists() else []
        if shutil.which("ip"):
            links = json.loads(run("ip", "-json", "link", "show") or "[]")
            names = [str(link["ifname"]) for link in links]
            found += [f"interface {name}" for name in names if name.startswith(BRIDGE_PREFIX)]
            found += [f"network namespace {name}" for name in _outsiders()]
        return found

    @staticmethod
    def _set_routes(wanted: set[str]) -> None:
        """Set host routes for the external addresses: they set the source address and make the bridge answer ARP."""
        rows = json.loads(run("ip", "-4", "-json", "route", "show", "dev", NAT_DEVICE) or "[]")
        present = {row["dst"].removesuffix("/32") for row in rows}
        for address in sorted(present - wanted):
            run("ip", "route", "delete", f"{address}/32", "dev", NAT_DEVICE)
        for address in sorted(wanted - present):
            run("ip", "route", "replace", f"{address}/32", "dev", NAT_DEVICE, "src", HOST_ADDRESS)


@dataclass(frozen=True)
class Outsider:
    """A host elsewhere on the Internet: a network namespace with an address of its own."""

    namespace: str
    address: str

    def run(self, *command: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace. The exit status is not checked."""
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def can_connect(self, address: str, port: int, seconds: float = 2) -> bool:
        """Return whether a TCP connection from the namespace succeeds."""
        script = f"import socket; socket.create_connection(({address!r}, {port}), {seconds}).close()"
        return self.run("python3", "-I", "-c", script, timeout=seconds + 20).returncode == 0


@contextlib.contextmanager
def outsider(address: str = OUTSIDER_ADDRESS) -> Iterator[Outsider]:
    """Yield an outsider on the external bridge. Needs root and a prepared network."""
    number = address.rpartition(".")[2]
    namespace = f"mlflow-localcloud-{number}"
    outer, inner = f"{BRIDGE_PREFIX}-out{number}", f"{BRIDGE_PREFIX}-in{number}"
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", outer], capture_output=True, check=False)
    run("ip", "netns", "add", namespace)
    try:
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", inner, "netns", namespace)
        run("ip", "link", "set", outer, "master", EXTERNAL_BRIDGE, "up")
        for command in (
            ("address", "add", f"{address}/24", "dev", inner),
            ("link", "set", "lo", "up"),
            ("link", "set", inner, "up"),
            ("route", "add", "default", "via", HOST_ADDRESS),
        ):
            run("ip", "-n", namespace, *command)
        yield Outsider(namespace, address)
    finally:
        run("ip", "netns", "delete", namespace)
        subprocess.run(["ip", "link", "delete", outer], capture_output=True, check=False)


def _require_programs() -> None:
    packages = {"nft": "nftables", "ip": "iproute2", "iptables": "iptables"}
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if missing:
        raise EngineError(f"missing on this host: apt-get install {' '.join(missing)}")


def _ensure_bridge_netfilter() -> None:
    """Load br_netfilter: VMs of one subnetwork share a bridge, whose packets the firewall would not see otherwise."""
    with contextlib.suppress(OSError):
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    sysctls.write(sysctls.BRIDGE_FILTER, "1")


def _device_exists(device: str) -> bool:
    return subprocess.run(["ip", "link", "show", device], capture_output=True, check=False).returncode == 0


def _table_exists() -> bool:
    return subprocess.run(["nft", "list", "table", "ip", TABLE], capture_output=True, check=False).returncode == 0


_OURS = f"{BRIDGE_PREFIX}+"
# Docker drops packets that are forwarded between its networks. Our table has already filtered ours.
_FORWARD_DOOR = (("-i", _OURS, "-j", "ACCEPT"), ("-o", _OURS, "-j", "ACCEPT"))
# The host's own firewall (such as ufw) may drop unknown packets, but VMs need metadata, names and APIs.
_INPUT_DOOR = tuple(
    ("-i", _OURS, "-d", HOST_ADDRESS, "-p", protocol, "--dport", str(port), "-j", "ACCEPT")
    for protocol, port in (
        ("tcp", PORTS.metadata),
        ("tcp", PORTS.api),
        ("tcp", PORTS.acme),
        ("tcp", PORTS.dns),
        ("udp", PORTS.dns),
    )
)


def _iptables(*arguments: str) -> bool:
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, check=False).returncode == 0


def _doors() -> Iterator[tuple[str, tuple[str, ...]]]:
    # Only an engine whose packet filter is disabled has no DOCKER-USER chain. No rule is needed then.
    if _iptables("-n", "-L", "DOCKER-USER"):
        yield from (("DOCKER-USER", rule) for rule in _FORWARD_DOOR)
    yield from (("INPUT", rule) for rule in _INPUT_DOOR)


def _open_doors() -> None:
    for chain, rule in _doors():
        if not _iptables("-C", chain, *rule):
            run("iptables", "-w", "-I", chain, *rule)


def _close_doors() -> None:
    if shutil.which("iptables") is None:
        return
    for chain, rule in _doors():
        while _iptables("-D", chain, *rule):
            pass


def _remove_outsiders() -> None:
    """Remove the outsiders of a killed test."""
    for name in _outsiders():
        run("ip", "netns", "delete", name)


def _outsiders() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(f"{TABLE}-")]
