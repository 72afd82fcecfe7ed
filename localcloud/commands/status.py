# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Tell what of the local cloud runs; exit status 3 when it does not answer."""

from __future__ import annotations

import argparse

from localcloud.commands import _home, _process


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `status`."""
    _home.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """One line for each part, machine and database."""
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
            print(f"{kind.capitalize()} {id}: {state}")
    return 0 if healthy else 3
