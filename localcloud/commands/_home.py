# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Where the local cloud lives, for all commands."""

from __future__ import annotations

import argparse
import os
import pathlib

from localcloud.cloud import Settings

PORT = 8787


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which local cloud is meant."""
    repository = pathlib.Path(__file__).resolve().parents[2]
    home = os.environ.get("MLFLOW_LOCALCLOUD_HOME") or repository / ".localcloud"
    parser.add_argument(
        "--home", type=pathlib.Path, default=pathlib.Path(home), help="its state (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=PORT, help="its port on 127.0.0.1 (default: %(default)s)")


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the options name."""
    return Settings(home=arguments.home.resolve(), url=f"http://127.0.0.1:{arguments.port}")
