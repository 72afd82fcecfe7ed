# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Stop the local cloud and remove everything that it created on this host."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable

from localcloud.commands import _home, _process
from localcloud.core import locks
from localcloud.engine.base import EngineError

# Interfaces disappear a moment after their network namespace.
_SECONDS = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `down`."""
    _home.add_arguments(parser)
    parser.add_argument("--keep-images", action="store_true", help="leave the images, which take a minute to build")


def run(arguments: argparse.Namespace) -> int:
    """Remove process, containers, volumes, networks, packet filter, images, state, and an engine started by `up`."""
    from localcloud.engine import docker_common, dockerd, image
    from localcloud.engine.nft_network import NftNetwork

    settings = _home.settings(arguments)
    try:
        if os.geteuid() != 0:
            raise EngineError("machines and networks need root: run it as root or with sudo")
        _home.refuse_other(settings)
        if _process.stop(settings):
            print("Stopped the local cloud")
        # VMs outlive a stopped engine and a reboot of the host: start an engine to remove them.
        if _process.log_file(settings).exists():
            dockerd.ensure(settings.home)
        client = docker_common.connect() if dockerd.answers() else None
        if client is not None:
            for what, names in docker_common.remove_all(client).items():
                if names:
                    print(f"Removed {what}: {', '.join(names)}")
            if not arguments.keep_images:
                for name in image.remove_all(client):
                    print(f"Removed image: {name}")
        network = NftNetwork(settings.home)
        network.remove()
        _nothing_left(lambda: [*(docker_common.left(client) if client is not None else []), *network.left()])
        if dockerd.stop(settings.home):
            print("Stopped the Docker engine, which `up` had started")
        # Remove the directory only if it is a home: --home may have been mistyped.
        if any((settings.home / name).exists() for name in ("state.sqlite", "serve.log", "dockerd.log")):
            shutil.rmtree(settings.home)
            print(f"Removed {settings.home}")
        locks.MACHINE.unlink(missing_ok=True)
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0


def _nothing_left(left: Callable[[], list[str]]) -> None:
    """Raise EngineError if resources remain. Runs before the state is removed, so that `down` can run again."""
    deadline = time.monotonic() + _SECONDS
    while found := left():
        if time.monotonic() > deadline:
            raise EngineError(
                f"not all that the local cloud made is gone; there is still: {', '.join(found)}. See that the Docker "
                "engine runs, then take it down again"
            )
        time.sleep(0.2)
