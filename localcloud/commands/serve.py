# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Serve the local cloud in the foreground."""

from __future__ import annotations

import argparse
import logging
import sys

from localcloud.commands import _home
from localcloud.engine.base import EngineError
from localcloud.server import process as server


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    _home.add_arguments(parser)
    parser.add_argument("--engine", default="docker", help="what runs machines and databases: docker or fake")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        server.serve(_home.settings(arguments), arguments.engine, port=arguments.port)
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0
