# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What machines and databases share: names, labels, Docker networks, files in containers, waiting."""

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
"""Every network interface of the local cloud begins so; the packet filter relies on it."""


@dataclass(frozen=True)
class File:
    """One file to be put into a container; ``owner`` is a numeric user and group id."""

    content: str | bytes
    mode: int = 0o644
    owner: int = 0


_networks = threading.Lock()
LOGS = LogConfig(type="json-file", config={"max-size": "5m", "max-file": "1"})
"""What containers write is kept, but not for ever."""


def connect() -> docker.DockerClient:
    """A client of the Docker engine, or an EngineError that says what to do."""
    try:
        client = docker.from_env(timeout=180)
        client.ping()
    except DockerException as error:
        raise EngineError(f"no Docker engine answers ({error}): run `python -m localcloud up`") from error
    return client


def container_name(kind: str, id: str) -> str:
    """The Docker name of a machine or database."""
    return f"{PREFIX}-{kind}-{id}"


def find(client: docker.DockerClient, kind: str, id: str) -> Container:
    """The container of a machine or database; raises NotFound."""
    try:
        return client.containers.get(container_name(kind, id))
    except DockerNotFound:
        raise NotFound(f"there is no {kind} {id}") from None


def ids(client: docker.DockerClient, kind: str) -> list[str]:
    """Ids of all containers of one kind, running or not."""
    found = client.containers.list(all=True, ignore_removed=True, filters={"label": f"{KIND_LABEL}={kind}"})
    return sorted(container.labels[ID_LABEL] for container in found)


def running(client: docker.DockerClient, kind: str, id: str) -> bool:
    """Whether the container runs; False when it is not there."""
    try:
        return bool(find(client, kind, id).status == "running")
    except NotFound:
        return False


def remove(client: docker.DockerClient, kind: str, id: str) -> None:
    """Remove a container, its anonymous volumes and the network it was the last one in; fine when it is gone."""
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
    """A range that nobody is in any more must be free for the next network that wants it."""
    with _networks:
        ours = client.containers.list(all=True, ignore_removed=True, filters={"label": KIND_LABEL})
        # A container that does not run is in its network all the same, though the network does not list it.
        used = set().union(*(_networks_of(container) for container in ours))
        for network in client.networks.list(filters={"label": f"{LABEL}=network"}):
            if network.name in networks - used:
                with contextlib.suppress(APIError):  # somebody moved in meanwhile
                    network.remove()


def labels(kind: str, id: str) -> dict[str, str]:
    """The labels by which a container is found again, also by a later process."""
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
    """Poll until ``done``; an EngineError with ``failure`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise EngineError(f"{failure} within {seconds:.0f} s")
        time.sleep(0.2)


def console(container: Container, lines: int | Literal["all"] = "all") -> str:
    """What a container wrote, or the last lines of it."""
    return b"".join([container.logs(tail=lines, stream=False)]).decode(errors="replace")


def tail(container: Container, lines: int = 15) -> str:
    """The last lines that a container wrote, for error messages."""
    return console(container, lines).strip()


def bridge_name(network: str, cidr: str) -> str:
    """The host's interface for one range: a hash, because an interface name has at most 15 characters."""
    return BRIDGE_PREFIX + hashlib.sha256(f"{network} {cidr}".encode()).hexdigest()[:10]


def ensure_network(client: docker.DockerClient, network: str, cidr: str) -> str:
    """The Docker network of a subnetwork or peered range, made on first use; returns its name.

    Docker neither translates addresses on it nor filters: that is the packet filter's job.
    """
    bridge = bridge_name(network, cidr)
    name = f"{PREFIX}-{bridge.removeprefix(BRIDGE_PREFIX)}"
    with _networks:  # older engines let two networks have one name
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
                # Engines from 28 on drop what comes from elsewhere unless told so; older ones do not know the option.
                "com.docker.network.bridge.gateway_mode_ipv4": "routed",
            },
            labels={LABEL: "network", f"{LABEL}.network": network, f"{LABEL}.cidr": cidr},
        )
    except APIError as error:
        if "overlap" in str(error):
            raise EngineError(f"{cidr} overlaps another Docker network; choose another range: {error}") from error
        raise EngineError(f"Docker could not make a network for {cidr}: {error.explanation}") from error


def one_card(client: docker.DockerClient, network: str, ip: str) -> Any:
    """One network card with a fixed address, as Docker's low-level API wants it told."""
    endpoint: Any = {network: client.api.create_endpoint_config(ipv4_address=ip)}
    return client.api.create_networking_config(endpoint)


def remove_all(client: docker.DockerClient) -> dict[str, list[str]]:
    """Remove all containers, volumes and networks of the local cloud; their names by kind.

    Containers are known by their kind: the plain label is on the images too, and so on what others started from them.
    """
    removed: dict[str, list[str]] = {}
    for what, find_all in _ours(client).items():
        found = find_all()
        for each in found:
            each.remove(**_HOW[what])
        removed[what] = [str(each.name) for each in found]
    return removed


def left(client: docker.DockerClient) -> list[str]:
    """What the engine has of any local cloud, in words; the images do not count. Nothing after :func:`remove_all`."""
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
    """How to find what bears our labels, in the order in which it can be removed."""
    return {
        "containers": lambda: client.containers.list(all=True, ignore_removed=True, filters={"label": KIND_LABEL}),
        "volumes": lambda: client.volumes.list(filters={"label": KIND_LABEL}),
        "networks": lambda: client.networks.list(filters={"label": f"{LABEL}=network"}),
    }


def run(*command: str, input: str | None = None) -> str:
    """Run a host command; its output, or an EngineError with what it complained about."""
    try:
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError(f"{command[0]} is not installed on this host") from None
    if done.returncode != 0:
        raise EngineError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
