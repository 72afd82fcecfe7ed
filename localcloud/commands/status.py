# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the status of the local cloud's parts; exit status 3 if it does not answer."""

from __future__ import annotations

import argparse

from docker.models.containers import Container

from localcloud.commands import _home, _process


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `status`."""
    _home.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each part, VM and database."""
    from localcloud.engine import docker_common, dockerd
    from localcloud.engine.docker_databases import KIND as DATABASE
    from localcloud.engine.docker_machines import KIND as MACHINE

    settings = _home.settings(arguments)
    pid = _process.find(settings)
    healthy = pid is not None and _process.healthy(settings)
    if healthy:
        print(f"Local cloud: answers at {settings.url} (process {pid})")
    elif pid is not None:
        print(f"Local cloud: process {pid} does not answer at {settings.url}; see {_process.log_file(settings)}")
    else:
        print("Local cloud: down")
    if not dockerd.answers():
        print("Docker engine: does not answer")
        return 3
    client = docker_common.connect()
    print(f"Docker engine: {client.version()['Version']}")
    for kind in (MACHINE, DATABASE):
        for id in docker_common.ids(client, kind):
            state = "running" if docker_common.running(client, kind, id) else "stopped"
            name = _host_name(docker_common.find(client, kind, id)) if kind == MACHINE else id
            print(f"{kind.capitalize()} {name}: {state}")
    return 0 if healthy else 3


def _host_name(container: Container) -> str:
    """Return a VM's host name, which contains project and zone; its id is a number, as at Google."""
    config = container.attrs["Config"]
    return ".".join(part for part in (config["Hostname"], config["Domainname"]) if part)
