# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names, labels, Docker networks, files in containers and waiting, shared by VMs and databases."""

from __future__ import annotations

import contextlib
import hashlib
import io
import ipaddress
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import docker
from docker.errors import APIError, DockerException
from docker.errors import NotFound as DockerNotFound
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool, LogConfig

from localcloud.engine.base import EngineError, NotFound
from localcloud.engine.routes import refuse_collision

PREFIX = "mlflow-localcloud"
LABEL = "mlflow-localcloud"
KIND_LABEL = "mlflow-localcloud.kind"
ID_LABEL = "mlflow-localcloud.id"
BRIDGE_PREFIX = "mlc"
"""Prefix of every network interface of the local cloud. The packet filter relies on it."""


@dataclass(frozen=True)
class File:
    """A file to write into a container; ``owner`` is a numeric user and group id."""

    content: str | bytes
    mode: int = 0o644
    owner: int = 0


_networks = threading.Lock()
LOGS = LogConfig(type="json-file", config={"max-size": "5m", "max-file": "1"})
"""Limit the size of the containers' logs."""


def connect() -> docker.DockerClient:
    """Return a client of the Docker engine. Raises EngineError with the remedy."""
    try:
        client = docker.from_env(timeout=180)
        client.ping()
    except DockerException as error:
        raise EngineError(f"no Docker engine answers ({error}): run `python -m localcloud up`") from error
    return client


def container_name(kind: str, id: str) -> str:
    """Return the container name of a VM or database."""
    return f"{PREFIX}-{kind}-{id}"


def find(client: docker.DockerClient, kind: str, id: str) -> Container:
    """Return the container of a VM or database. Raises NotFound."""
    try:
        return client.containers.get(container_name(kind, id))
    except DockerNotFound:
        raise NotFound(f"there is no {kind} {id}") from None


def ids(client: docker.DockerClient, kind: str) -> list[str]:
    """Return the ids of all containers of one kind, running or not."""
    found = client.containers.list(all=True, ignore_removed=True, filters={"label": f"{KIND_LABEL}={kind}"})
    return sorted(container.labels[ID_LABEL] for container in found)


def running(client: docker.DockerClient, kind: str, id: str) -> bool:
    """Return whether the container runs; False if it does not exist."""
    try:
        return bool(find(client, kind, id).status == "running")
    except NotFound:
        return False


def remove(client: docker.DockerClient, kind: str, id: str) -> None:
    """Remove a container, its anonymous volumes and its networks if they are unused. Idempotent."""
    networks: set[str] = set()
    try:
        container = find(client, kind, id)
        networks = _networks_of(container)
        container.remove(force=True, v=True)
    except (NotFound, DockerNotFound):
        return
    except APIError as error:
        if "already in progress" not in str(error):
            raise
        wait_until(lambda: id not in ids(client, kind), 60, f"{kind} {id} was not removed")
    _remove_unused(client, networks)


def _networks_of(container: Container) -> set[str]:
    return set(container.attrs["NetworkSettings"]["Networks"])


def _remove_unused(client: docker.DockerClient, networks: set[str]) -> None:
    """Remove unused networks, so that other networks can use their ranges."""
    with _networks:
        ours = client.containers.list(all=True, ignore_removed=True, filters={"label": KIND_LABEL})
        # A stopped container still belongs to its network, though the network does not list it.
        used = set().union(*(_networks_of(container) for container in ours))
        for network in client.networks.list(filters={"label": f"{LABEL}=network"}):
            if network.name in networks - used:
                with contextlib.suppress(APIError):  # another container joined the network meanwhile
                    network.remove()


def labels(kind: str, id: str) -> dict[str, str]:
    """Return the labels by which later processes find a container."""
    return {LABEL: kind, KIND_LABEL: kind, ID_LABEL: id}


def put_files(container: Container, files: Mapping[str, File]) -> None:
    """Write files (absolute paths) into a container, running or not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in files.items():
            content = file.content.encode() if isinstance(file.content, str) else file.content
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(content), file.mode, file.owner, file.owner
            entry.mtime = int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    if not container.put_archive("/", buffer.getvalue()):
        raise EngineError(f"Docker did not take files for {container.name}")


def wait_until(done: Callable[[], bool], seconds: float, failure: str) -> None:
    """Poll until ``done`` returns true. Raises EngineError with ``failure`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise EngineError(f"{failure} within {seconds:.0f} s")
        time.sleep(0.2)


def console(container: Container, lines: int | Literal["all"] = "all") -> str:
    """Return a container's output, or its last lines."""
    return b"".join([container.logs(tail=lines, stream=False)]).decode(errors="replace")


def tail(container: Container, lines: int = 15) -> str:
    """Return the last lines of a container's output, for error messages."""
    return console(container, lines).strip()


def bridge_name(network: str, cidr: str) -> str:
    """Return the host's bridge name for a range: a hash, because interface names have at most 15 characters."""
    return BRIDGE_PREFIX + hashlib.sha256(f"{network} {cidr}".encode()).hexdigest()[:10]


def ensure_network(client: docker.DockerClient, network: str, cidr: str) -> str:
    """Return the name of the Docker network of a subnetwork or peered range. Creates it on first use.

    Docker neither translates addresses on it nor filters packets: the packet filter does.
    """
    bridge = bridge_name(network, cidr)
    name = f"{PREFIX}-{bridge.removeprefix(BRIDGE_PREFIX)}"
    with _networks:  # older engines allow two networks with the same name
        if not client.networks.list(names=[f"^{name}$"]):
            refuse_collision(cidr, ours=BRIDGE_PREFIX)
            _make_network(client, name, bridge, network, cidr)
    return name


def _make_network(client: docker.DockerClient, name: str, bridge: str, network: str, cidr: str) -> None:
    gateway = str(next(ipaddress.ip_network(cidr).hosts()))
    try:
        client.networks.create(
            name,
            driver="bridge",
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=cidr, gateway=gateway)]),
            options={
                "com.docker.network.bridge.name": bridge,
                "com.docker.network.bridge.enable_ip_masquerade": "false",
                # Without this option Docker 28 and newer drop packets from other networks. Older versions lack it.
                "com.docker.network.bridge.gateway_mode_ipv4": "routed",
            },
            labels={LABEL: "network", f"{LABEL}.network": network, f"{LABEL}.cidr": cidr},
        )
    except APIError as error:
        if "overlap" in str(error):
            raise EngineError(f"{cidr} overlaps another Docker network; choose another range: {error}") from error
        raise EngineError(f"Docker could not make a network for {cidr}: {error.explanation}") from error


def one_card(client: docker.DockerClient, network: str, ip: str) -> Any:
    """Return the configuration of one network interface with a fixed address for Docker's low-level API."""
    endpoint: Any = {network: client.api.create_endpoint_config(ipv4_address=ip)}
    return client.api.create_networking_config(endpoint)


def remove_all(client: docker.DockerClient) -> dict[str, list[str]]:
    """Remove all containers, volumes and networks of the local cloud; return their names by kind.

    Find containers by their kind label: images have the plain label, and so has any container started from them.
    """
    removed: dict[str, list[str]] = {}
    for what, find_all in _ours(client).items():
        found = find_all()
        for each in found:
            each.remove(**_HOW[what])
        removed[what] = [str(each.name) for each in found]
    return removed


def left(client: docker.DockerClient) -> list[str]:
    """Return descriptions of all remaining resources of any local cloud in the engine, except images."""
    return [
        f"Docker {what.removesuffix('s')} {each.name}"
        for what, find_all in _ours(client).items()
        for each in find_all()
    ]


_HOW: dict[str, dict[str, bool]] = {
    "containers": {"force": True, "v": True},
    "volumes": {"force": True},
    "networks": {},
}


def _ours(client: docker.DockerClient) -> dict[str, Callable[[], list[Any]]]:
    """Return functions that list the resources with our labels, in the order in which they can be removed."""
    return {
        "containers": lambda: client.containers.list(all=True, ignore_removed=True, filters={"label": KIND_LABEL}),
        "volumes": lambda: client.volumes.list(filters={"label": KIND_LABEL}),
        "networks": lambda: client.networks.list(filters={"label": f"{LABEL}=network"}),
    }


def run(*command: str, input: str | None = None) -> str:
    """Run a host command and return its output. Raises EngineError with its error output."""
    try:
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError(f"{command[0]} is not installed on this host") from None
    if done.returncode != 0:
        raise EngineError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
