# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Start the local cloud: Docker engine, images, network and the server process."""

from __future__ import annotations

import argparse
import os
import sys

from localcloud.commands import _home, _process
from localcloud.core.profile import PROFILES
from localcloud.engine.base import EngineError

IMAGES = ("debian-13", "postgres-17")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `up`."""
    _home.add_arguments(parser)
    parser.add_argument("--image", action="append", choices=("debian-12", "postgres-15"), default=[], help="build too")
    parser.add_argument("--profile", choices=tuple(PROFILES), help="latencies and delays (default: leave as they are)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all durations of --profile (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Start the local cloud. Idempotent; prints each step, and the remedy if a step fails."""
    # Imported late: `--help` needs no engine.
    from localcloud.engine import dockerd, image
    from localcloud.engine.nft_network import NftNetwork
    from localcloud.server.process import listening

    settings = _home.settings(arguments)
    try:
        if os.geteuid() != 0:
            raise EngineError("machines and networks need root: run it as root or with sudo")
        _home.refuse_other(settings)
        pid = _process.find(settings)
        if pid is None or _process.port(pid) != arguments.port:
            listening(arguments.port).close()
        _say(f"Docker engine: {dockerd.ensure(settings.home)}")
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for tag in image.ensure_all((*IMAGES, *arguments.image)):
            _say(f"Image: {tag}")
        pid = _process.find(settings)
        if pid is not None and not _process.healthy(settings):
            _process.stop(settings)
            pid = None
        if pid is None:
            NftNetwork(settings.home).prepare()
            pid = _process.start(settings, arguments.port)
        else:
            _process.reconcile(settings)
        if arguments.profile is not None:
            if not _process.set_profile(settings, arguments.profile, arguments.scale):
                raise EngineError(
                    f"cannot set the profile {arguments.profile} with scale {arguments.scale}: the scale is a number "
                    f"that is not negative; see {_process.log_file(settings)}"
                )
            _say(f"Profile: {arguments.profile}, durations times {arguments.scale:g}")
        _say(f"Local cloud: {settings.url} (process {pid}, log {_process.log_file(settings)})")
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
