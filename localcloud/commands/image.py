# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Build a VM or database image from Debian packages, unless a current image exists."""

from __future__ import annotations

import argparse
import sys

from localcloud.commands import _home
from localcloud.engine import image
from localcloud.engine.base import EngineError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `image`."""
    _home.add_arguments(parser)
    parser.add_argument("name", nargs="+", choices=sorted(image.RECIPES), help="which image")
    parser.add_argument("--rebuild", action="store_true", help="build also when a current one is there")


def run(arguments: argparse.Namespace) -> int:
    """Print the name of each image. Builds missing images."""
    from localcloud.engine import dockerd

    home = _home.settings(arguments).home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        dockerd.ensure(home)
        for tag in image.ensure_all(arguments.name, rebuild=arguments.rebuild):
            print(tag)
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0
